// Which of the candidate addresses brings a tile into this page? The kernel cannot know: only the page sees its own
// origin, its base_url and what stands between it and the notebook server.

const PAGE_BASE = "{base_url}";
const TIMEOUT_MS = 10000; // a first tile on a busy machine takes 2 s

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

async function fetchTile(template, [z, x, y]) {
  const url = template.replace("{z}", z).replace("{x}", x).replace("{y}", y);
  try {
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const type = answer.headers.get("content-type") || "no content type";
    const bytes = (await answer.arrayBuffer()).byteLength;
    if (answer.status !== 200) return { status: answer.status, error: `status ${answer.status}` };
    if (!type.startsWith("image/png")) return { status: 200, error: `not a tile: ${type}` };
    if (bytes === 0) return { status: 200, error: "an empty tile" };
    return { status: 200, error: "" };
  } catch (error) {
    return { status: 0, error: error.name === "TimeoutError" ? "no answer in time" : String(error) };
  }
}

async function probe(candidates, tile) {
  const tried = [];
  for (const candidate of candidates) {
    const { url, error } = resolve(candidate.url);
    if (tried.some((earlier) => earlier.url === url)) continue;
    const outcome = error ? { status: 0, error } : await fetchTile(url, tile);
    tried.push({ name: candidate.name, url, ...outcome });
    if (!outcome.error) return { name: candidate.name, url, tried };
  }
  return { name: "", url: "", tried };
}

function initialize({ model }) {
  let run = 0;
  const start = async () => {
    const mine = ++run;
    const candidates = model.get("candidates");
    if (!candidates.length) return;
    const result = await probe(candidates, model.get("tile"));
    if (mine !== run) return; // the question has changed meanwhile
    model.set("result", { ...result, attempt: model.get("attempt") });
    model.save_changes();
  };
  model.on("change:attempt", start);
  start();
  return () => {
    run += 1;
    model.off("change:attempt", start);
  };
}

export default { initialize };
