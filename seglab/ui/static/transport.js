// By which route do tiles reach this page? The kernel cannot know: only the page sees its own origin, its base_url and
// what stands between it and the notebook server. Addresses are tried first, with a real tile; then the bridge, which
// asks the kernel for each tile by the widget's own messages.

const PAGE_BASE = "{base_url}";
const ADDRESS_MS = 10000; // for an answer at an address: a first tile on a busy machine takes 2 s
const PATIENCE_MS = 2500; // then the bridge serves while the addresses are still being tried
const BRIDGE_MS = 20000; // for a tile by message: the kernel may be busy with a cell
const AT_ONCE = 6; // tiles asked for by message and not there yet; the others wait here and may be dropped
const FAILURES = 4; // tiles in a row that do not come by a route that worked: the page looks again
const AGAIN_MS = 60000; // but not more often than this

// The base_url that JupyterLab, Notebook and Voila write into their pages; null elsewhere (VS Code, a static page).
function pageBase() {
  const config = document.getElementById("jupyter-config-data");
  if (config) {
    try {
      const base = JSON.parse(config.textContent).baseUrl;
      if (typeof base === "string") {
        // some pages give the whole address
        const path = new URL(base, window.location.href).pathname;
        return path.endsWith("/") ? path : `${path}/`;
      }
    } catch (error) {
      console.warn("seglab: jupyter-config-data cannot be read", error);
    }
  }
  const classic = document.body && document.body.dataset.baseUrl;
  return classic ? classic.replace(/\/*$/, "/") : null;
}

// A loopback address means another machine when the page comes from a server elsewhere, and asking for it there makes
// the browser warn its user about the local network.
function isElsewhere() {
  const { protocol, hostname } = window.location;
  const web = protocol === "http:" || protocol === "https:";
  return web && !["localhost", "127.0.0.1", "[::1]"].includes(hostname) && !hostname.endsWith(".localhost");
}

// The address to try, or the reason why not.
function resolve(url) {
  if (url.startsWith(PAGE_BASE)) {
    const base = pageBase();
    return base === null
      ? { url, error: "the page does not say its base_url" }
      : { url: base + url.slice(PAGE_BASE.length), error: "" };
  }
  if (/^http:\/\/127\.0\.0\.1[:/]/.test(url) && isElsewhere()) {
    return { url, error: "the page comes from another machine" };
  }
  return { url, error: "" };
}

const fill = (template, [z, x, y]) => template.replace("{z}", z).replace("{x}", x).replace("{y}", y);
const after = (ms, value) => new Promise((done) => setTimeout(done, ms, value));

async function fetchTile(template, tile) {
  try {
    const answer = await fetch(fill(template, tile), { cache: "no-store", signal: AbortSignal.timeout(ADDRESS_MS) });
    const type = answer.headers.get("content-type") || "no content type";
    const bytes = (await answer.arrayBuffer()).byteLength;
    if (answer.status !== 200) return { status: answer.status, error: `status ${answer.status}` };
    if (!type.startsWith("image/png")) return { status: 200, error: `not a tile: ${type}` };
    if (bytes === 0) return { status: 200, error: "an empty tile" };
    return { status: 200, error: "" };
  } catch (error) {
    const words = { TimeoutError: "no answer in time", TypeError: "blocked, or nothing answers there" };
    return { status: 0, error: words[error.name] ?? String(error) };
  }
}

// Tries addresses in order into `tried`; returns the first that works, or null.
async function tryAddresses(candidates, tile, tried) {
  for (const candidate of candidates) {
    const { url, error } = resolve(candidate.url);
    if (tried.some((earlier) => earlier.url === url)) continue;
    const outcome = error ? { status: 0, error } : await fetchTile(url, tile);
    tried.push({ name: candidate.name, url, ...outcome });
    if (!outcome.error) return { name: candidate.name, url };
  }
  return null;
}

// Tiles by message, so many at once. Leaflet asks for those near the middle first, and they are answered in order.
class Bridge {
  constructor(model) {
    this.model = model;
    this.number = 0;
    this.waiting = []; // not asked for yet
    this.asked = new Map(); // by number
    this.maps = new Set(); // Leaflet maps whose tiles may come by message
    this.failures = 0;
    this.again = () => {}; // looks for a route anew
    this.found = new Promise((found) => {
      this.foundMap = found;
    });
  }

  // A tile as a Blob; `drop` of the returned request gives it up.
  request(path) {
    const request = { path };
    request.blob = new Promise((done, fail) => Object.assign(request, { done, fail }));
    request.drop = () => {
      this.waiting = this.waiting.filter((other) => other !== request);
    };
    this.waiting.push(request);
    this.pump();
    return request;
  }

  pump() {
    while (this.waiting.length && this.asked.size < AT_ONCE) {
      const request = this.waiting.shift();
      const number = ++this.number;
      this.asked.set(number, request);
      request.timer = setTimeout(() => this.settle(number, 0), BRIDGE_MS); // the kernel may have been restarted
      this.model.send({ ask: number, path: request.path });
    }
  }

  receive(content, buffers) {
    if ("tile" in content) this.settle(content.tile, content.status, buffers);
  }

  settle(number, status, buffers = []) {
    const request = this.asked.get(number);
    if (!request) {
      this.again("bytes"); // it was given up, and comes after all: the kernel was busy
      return;
    }
    this.asked.delete(number);
    clearTimeout(request.timer);
    if (status === 200) request.done(new Blob(buffers, { type: "image/png" }));
    else request.fail(Object.assign(new Error(status ? `status ${status}` : "no answer in time"), { status }));
    this.pump();
  }

  // Whether a real tile comes and can be shown, and the map takes it.
  async test(path) {
    try {
      const blob = await this.request(path).blob;
      const image = new Image();
      image.src = URL.createObjectURL(blob);
      await image.decode().finally(() => URL.revokeObjectURL(image.src));
    } catch (error) {
      return { status: error.status ?? 200, error: error.status === undefined ? "the image is not shown" : error.message };
    }
    if (!(await Promise.race([this.found.then(() => true), after(BRIDGE_MS, false)]))) {
      return { status: 200, error: "the map is not found in this page" };
    }
    return { status: 200, error: "" };
  }

  // Let tiles of a Leaflet map come by message, where their address says so.
  adopt(map) {
    if (this.maps.has(map)) return;
    this.maps.add(map);
    map.on("unload", () => this.maps.delete(map));
    const addLayer = map.addLayer;
    map.addLayer = (layer) => {
      this.adoptLayer(layer); // before it asks for its first tiles
      return addLayer.call(map, layer);
    };
    map.eachLayer((layer) => this.adoptLayer(layer) && layer.redraw());
    this.foundMap();
    this.again("bytes"); // it may have been given up before the map came into the page
  }

  // Whether it is a layer of tiles whose tiles now come by message.
  adoptLayer(layer) {
    if (!layer.createTile || !layer.getTileUrl) return false;
    const bridge = this;
    const prefix = this.model.get("bridge");
    const createTile = layer.createTile;
    layer.createTile = function (coords, done) {
      const url = this.getTileUrl(coords);
      return url.startsWith(prefix) ? bridge.createTile(url.slice(prefix.length), done) : createTile.call(this, coords, done);
    };
    layer.on("tileunload", ({ tile }) => tile.seglabRequest?.drop());
    layer.on("tileload", () => {
      this.failures = 0;
    });
    layer.on("tileerror", () => this.isOurs(layer) && this.failed());
    return layer._url?.startsWith(prefix);
  }

  createTile(path, done) {
    const tile = document.createElement("img");
    tile.alt = "";
    tile.seglabRequest = this.request(path);
    tile.seglabRequest.blob.then(
      (blob) => {
        const url = URL.createObjectURL(blob);
        const end = (error) => {
          URL.revokeObjectURL(url);
          done(error, tile);
        };
        tile.onload = () => end(null);
        tile.onerror = () => end(new Error("the image is not shown"));
        tile.src = url;
      },
      (error) => done(error, tile),
    );
    return tile;
  }

  // Whether the tiles of a layer come by the route that has been found.
  isOurs(layer) {
    const { url } = this.model.get("result");
    const root = url ? url.slice(0, -this.model.get("path").length) : null;
    return Boolean(root) && String(layer._url).startsWith(root);
  }

  failed() {
    this.failures += 1;
    if (this.failures >= FAILURES) this.again();
  }

  // Ask for the tiles again that have not come.
  redraw() {
    for (const map of this.maps) map.eachLayer((layer) => layer.createTile && this.isOurs(layer) && layer.redraw());
  }
}

const bridges = new Map(); // by the model id of the map: the model's part makes one, each view of it adopts a map

function initialize({ model }) {
  const bridge = new Bridge(model);
  bridges.set(model.get("map_id"), bridge);
  let run = 0;
  let running = false;
  let last = -AGAIN_MS;

  const start = async () => {
    const mine = ++run;
    const attempt = model.get("attempt");
    const report = (route, tried, done) => {
      if (mine !== run) return; // the question has changed meanwhile
      model.set("result", { ...route, tried: [...tried], attempt, done });
      model.save_changes();
    };
    model.send({ begun: attempt });
    running = true;
    last = performance.now();
    await look(model, bridge, report);
    if (mine !== run) return;
    running = false;
    if (bridge.failures) bridge.redraw();
    bridge.failures = 0;
  };

  // Look again, not too often; only while a certain route is in use, if one is given.
  bridge.again = (route) => {
    const isDue = route !== undefined || performance.now() - last > AGAIN_MS;
    if (!running && isDue && (route === undefined || model.get("result").name === route)) start();
  };
  const receive = (content, buffers) => bridge.receive(content, buffers);
  model.on("msg:custom", receive);
  model.on("change:attempt", start);
  start();
  return () => {
    run += 1;
    bridge.again = () => {};
    bridges.delete(model.get("map_id"));
    model.off("msg:custom", receive);
    model.off("change:attempt", start);
  };
}

// Find a route; report it, and before that what serves meanwhile, if the looking takes long.
async function look(model, bridge, report) {
  const tile = model.get("tile");
  const tried = [];
  const candidates = model.get("candidates");
  const comm = candidates.find(({ name }) => name === "comm");
  const addresses = tryAddresses(candidates.filter((candidate) => candidate !== comm), tile, tried); // prettier-ignore
  let isFound = false;
  const byMessage = () => bridge.test(fill(model.get("path"), tile));
  let message = null;
  const slow = await Promise.race([addresses.then(() => false), after(PATIENCE_MS, true)]);
  if (slow) {
    message = byMessage();
    message.then((outcome) => {
      if (!outcome.error && !isFound) report(comm, tried, false);
    });
  }
  const route = await addresses;
  isFound = true;
  if (route) {
    report(route, tried, true);
    return;
  }
  const outcome = await (message ?? byMessage());
  tried.push({ ...comm, ...outcome });
  report(outcome.error ? { name: "bytes", url: "" } : comm, tried, true);
}

// The Leaflet map beside this view: ipyleaflet keeps it in a view of its own, which may come into the page later.
async function findMap(model, el, signal) {
  const shown = await model.widget_manager.get_model(model.get("map_id"));
  while (!signal.aborted) {
    const root = el.closest(".seglab-labeler") ?? (el.isConnected ? document.body : null);
    for (const promise of Object.values(shown.views ?? {})) {
      const leaflet = (await promise).obj;
      if (leaflet && root?.contains(leaflet.getContainer())) return leaflet;
    }
    await new Promise(requestAnimationFrame);
  }
  return null;
}

function render({ model, el }) {
  const controller = new AbortController();
  findMap(model, el, controller.signal).then((map) => map && bridges.get(model.get("map_id"))?.adopt(map));
  return () => controller.abort();
}

export default { initialize, render };
