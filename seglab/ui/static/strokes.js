// Strokes on the map: brush, eraser, lasso, scribble and cut are dragged, a polygon and the area of interest are clicked
// corner by corner. All is drawn here while it is made; the kernel gets the finished stroke, as latitudes and longitudes.

const FREE = ["brush", "eraser", "lasso", "scribble", "cut"];
const CORNERED = ["polygon", "area"];
const DARK = ["cut", "area"]; // no objects of a class: drawn in no class's colour
const SIZED = ["brush", "eraser"];
const CLOSE = 9; // screen pixels: a click so near to the first corner closes the polygon
const STEP = 2; // screen pixels between two points of a stroke, at least
const AWAY = "#b3261e"; // what takes away is drawn in this

class Drawing {
  constructor(model, root, container, leaflet) {
    Object.assign(this, { model, root, container, leaflet });
    this.places = []; // L.LatLng
    this.active = false;
    this.pointer = null; // where the mouse is, in the map's own pixels
    this.waiting = null; // the number of a stroke that the kernel has not answered yet
    this.number = 0;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "seglab-canvas";
    container.appendChild(this.canvas);
  }

  get tool() {
    return this.model.get("tool");
  }

  begin(event) {
    if (this.waiting !== null) this.places = [];
    this.waiting = null;
    this.stroke = this.tool;
    this.away = (event.altKey || event.shiftKey || this.stroke === "eraser") && this.stroke !== "area";
    this.active = true;
    this.root.dataset.seglabDrawing = "true";
  }

  at(event) {
    const box = this.container.getBoundingClientRect();
    return [event.clientX - box.left - this.container.clientLeft, event.clientY - box.top - this.container.clientTop];
  }

  screen(place) {
    const point = this.leaflet.latLngToContainerPoint(place);
    return [point.x, point.y];
  }

  // Whether the point was far enough from the one before it.
  add(point) {
    const last = this.places.at(-1);
    if (last) {
      const [x, y] = this.screen(last);
      if (Math.hypot(point[0] - x, point[1] - y) < STEP) return false;
    }
    this.places.push(this.leaflet.containerPointToLatLng(point));
    return true;
  }

  nearFirst(point) {
    if (this.places.length < 3) return false;
    const [x, y] = this.screen(this.places[0]);
    return Math.hypot(point[0] - x, point[1] - y) < CLOSE;
  }

  drop() {
    this.places = [];
    this.active = false;
    this.waiting = null;
    delete this.root.dataset.seglabDrawing;
    this.draw();
  }

  finish() {
    if (!this.active) return;
    this.active = false;
    delete this.root.dataset.seglabDrawing;
    const at = this.screen(this.places[0]);
    const side = this.leaflet.containerPointToLatLng([at[0] + this.model.get("size") / 2, at[1]]);
    this.number = Math.max(this.number, this.model.get("answered")) + 1;
    this.waiting = this.number;
    this.model.send({
      tool: this.stroke,
      places: this.places.map((place) => [place.lat, place.lng]),
      positive: !this.away,
      reach: Math.abs(side.lng - this.places[0].lng),
      number: this.number,
    });
    this.draw();
  }

  answered() {
    if (this.waiting === null || this.model.get("answered") < this.waiting) return;
    this.waiting = null;
    if (!this.active) this.places = [];
    this.draw();
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.paint();
    });
  }

  paint() {
    const { clientWidth: width, clientHeight: height } = this.container;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineCap = pen.lineJoin = "round";
    if (this.places.length) this.paintStroke(pen);
    if (this.pointer && SIZED.includes(this.tool)) this.paintRing(pen);
  }

  paintStroke(pen) {
    const points = this.places.map((place) => this.screen(place));
    const isCornered = CORNERED.includes(this.stroke);
    if (isCornered && this.active && this.pointer) points.push(this.pointer);
    const colour = DARK.includes(this.stroke) ? "#222" : this.away ? AWAY : this.model.get("colour");
    const path = new Path2D();
    path.moveTo(...points[0]);
    for (const point of points) path.lineTo(...point); // also the first, so that a dot is seen
    if (SIZED.includes(this.stroke)) {
      pen.globalAlpha = 0.5;
      this.line(pen, path, colour, this.model.get("size"));
      pen.globalAlpha = 1;
      return;
    }
    if (this.stroke === "lasso" || isCornered) {
      pen.globalAlpha = 0.25;
      pen.fillStyle = colour;
      pen.fill(path);
      pen.globalAlpha = 1;
    }
    this.line(pen, path, "#fff", 5);
    this.line(pen, path, colour, 3);
    if (isCornered) this.paintCorners(pen);
  }

  paintCorners(pen) {
    for (const place of this.places) {
      pen.beginPath();
      pen.arc(...this.screen(place), 4, 0, 2 * Math.PI);
      pen.fillStyle = "#fff";
      pen.fill();
      pen.lineWidth = 1.5;
      pen.strokeStyle = "#222";
      pen.stroke();
    }
  }

  paintRing(pen) {
    const ring = new Path2D();
    ring.arc(...this.pointer, this.model.get("size") / 2, 0, 2 * Math.PI);
    this.line(pen, ring, "#fff", 3);
    this.line(pen, ring, this.tool === "eraser" ? AWAY : "#222", 1.25);
  }

  line(pen, path, colour, width) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.stroke(path);
  }
}

function follow(model, root, signal) {
  let drawing = null;
  const isDrawn = () => FREE.includes(model.get("tool")) || CORNERED.includes(model.get("tool"));
  const mine = (event) =>
    isDrawn() &&
    (drawing?.active || !(event.ctrlKey || event.metaKey)) && // with Ctrl a click selects
    event.target.closest(".leaflet-container") && !event.target.closest(".leaflet-control, .seglab-help");

  const prepare = async () => {
    root.dataset.seglabTool = model.get("tool");
    root.toggleAttribute("data-seglab-sized", SIZED.includes(model.get("tool")));
    drawing?.drop();
    const container = root.querySelector(".seglab-mapbox .leaflet-container");
    if (!isDrawn() || !container || drawing?.container === container) return;
    const leaflet = await leafletOf(model, container);
    if (leaflet === null || drawing?.container === container || signal.aborted) return;
    drawing?.canvas.remove();
    drawing = new Drawing(model, root, container, leaflet);
    leaflet.on("move zoom viewreset resize", () => drawing.draw());
    container.dataset.seglabReady = "true"; // strokes can be drawn from now on
  };

  const down = (event) => {
    if (!mine(event) || event.button !== 0) return;
    event.stopPropagation(); // Leaflet neither pans nor clicks
    if (drawing === null) return;
    drawing.container.focus({ preventScroll: true });
    const point = drawing.at(event);
    if (FREE.includes(model.get("tool"))) {
      drawing.begin(event);
      drawing.add(point);
      drawing.container.setPointerCapture(event.pointerId);
    } else if (drawing.active && drawing.nearFirst(point)) {
      drawing.finish();
    } else {
      if (!drawing.active) drawing.begin(event);
      drawing.add(point);
    }
    drawing.draw();
  };
  const move = (event) => {
    if (drawing === null || !isDrawn()) return;
    drawing.pointer = drawing.at(event);
    const isFree = drawing.active && FREE.includes(drawing.stroke);
    // the browser gathers fast movements into one event
    if (isFree) for (const part of event.getCoalescedEvents?.() ?? [event]) drawing.add(drawing.at(part));
    if (isFree) event.stopPropagation();
    drawing.draw();
  };
  const up = (event) => {
    if (drawing?.active && FREE.includes(drawing.stroke) && event.button === 0) {
      event.stopPropagation();
      drawing.add(drawing.at(event));
      drawing.finish();
    }
  };
  const capture = { signal, capture: true };
  root.addEventListener("pointerdown", down, capture);
  root.addEventListener("pointermove", move, capture);
  root.addEventListener("pointerup", up, capture);
  root.addEventListener("pointercancel", () => drawing?.active && drawing.drop(), capture);
  root.addEventListener("pointerout", (event) => {
    if (drawing === null || drawing.container.contains(event.relatedTarget)) return;
    drawing.pointer = null;
    drawing.draw();
  }, capture); // prettier-ignore
  for (const kind of ["mousedown", "mouseup", "click", "touchstart"]) {
    root.addEventListener(kind, (event) => {
      if (mine(event) && !(event.button > 0)) event.stopPropagation();
    }, { signal, capture: true, passive: true }); // prettier-ignore
  }
  root.addEventListener("dblclick", (event) => {
    if (!mine(event)) return;
    event.stopPropagation();
    if (CORNERED.includes(model.get("tool"))) drawing?.finish();
  }, capture); // prettier-ignore
  root.addEventListener("wheel", (event) => {
    if (drawing?.active && FREE.includes(drawing.stroke)) {
      event.preventDefault(); // the map stands still
      event.stopPropagation();
    }
  }, { signal, capture: true, passive: false }); // prettier-ignore
  root.addEventListener("seglab-drawing", ({ detail }) => {
    if (detail === "Escape") drawing?.drop();
    else if (detail === "Enter") drawing?.finish();
    else if (CORNERED.includes(drawing?.stroke) && drawing.places.length > 1) {
      drawing.places.pop();
      drawing.draw();
    } else drawing?.drop();
  }, { signal }); // prettier-ignore

  const watched = { "change:tool": prepare, "change:answered": () => drawing?.answered() };
  watched["change:size"] = watched["change:colour"] = () => drawing?.draw();
  for (const [name, handler] of Object.entries(watched)) model.on(name, handler);
  signal.addEventListener("abort", () => {
    for (const [name, handler] of Object.entries(watched)) model.off(name, handler);
    drawing?.canvas.remove();
  });
  prepare();
}

function render({ model, el }) {
  const controller = new AbortController();
  const attach = () => {
    if (controller.signal.aborted) return;
    const root = el.closest(".seglab-labeler");
    if (root) follow(model, root, controller.signal);
    else requestAnimationFrame(attach); // not in the page yet
  };
  attach();
  return () => controller.abort();
}

export default { render };
