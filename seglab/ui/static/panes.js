// How the layers of the map are shown. Each lies in a pane of its own: a hidden pane is not displayed, a faded one has an
// opacity, and of two that are compared each is cut at a divider. This works alike for tiles, images and outlines.

const STEP = 0.02; // of the map's width, for an arrow key; five times as much with Shift

class Divider {
  constructor(model, box, leaflet) {
    Object.assign(this, { model, box, leaflet });
    this.element = document.createElement("div");
    this.element.className = "seglab-divider";
    this.element.innerHTML =
      '<span class="seglab-divider-left"></span><i class="fa fa-arrows-h"></i><span class="seglab-divider-right"></span>';
    for (const [name, value] of Object.entries({
      role: "slider",
      tabindex: "0",
      "aria-orientation": "horizontal",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
    })) {
      this.element.setAttribute(name, value);
    }
    this.listen();
    box.appendChild(this.element); // beside the map, not in it: the map hears nothing of what happens here
  }

  listen() {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      element.focus({ preventScroll: true });
      element.setPointerCapture(event.pointerId);
      this.offset = event.clientX - element.getBoundingClientRect().left;
    });
    element.addEventListener("pointermove", (event) => {
      if (!element.hasPointerCapture(event.pointerId)) return;
      const frame = this.box.getBoundingClientRect();
      this.move((event.clientX - this.offset - frame.left + element.offsetWidth / 2) / frame.width);
    });
    element.addEventListener("lostpointercapture", () => this.model.save_changes());
    element.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 5 * STEP : STEP;
      const position = this.model.get("position");
      const places = { ArrowLeft: position - step, ArrowRight: position + step, Home: 0, End: 1 };
      if (!(event.key in places) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.move(places[event.key]);
      this.model.save_changes();
    });
  }

  move(position) {
    this.model.set("position", Math.min(Math.max(position, 0), 1));
  }

  show(swipe) {
    const [left, right] = ["left", "right"].map((side) => swipe[side].title);
    this.element.querySelector(".seglab-divider-left").textContent = left;
    this.element.querySelector(".seglab-divider-right").textContent = right;
    this.element.setAttribute("aria-label", `Divider: ${left} on the left, ${right} on the right`);
    const position = this.model.get("position");
    this.element.style.left = `${100 * position}%`;
    this.element.setAttribute("aria-valuenow", String(Math.round(100 * position)));
  }
}

class Panes {
  constructor(model, box, leaflet) {
    Object.assign(this, { model, box, leaflet, divider: null, cut: [] });
  }

  style() {
    for (const [name, look] of Object.entries(this.model.get("looks"))) {
      const pane = this.leaflet.getPane(name);
      if (!pane) continue;
      pane.style.display = look.visible ? "" : "none";
      pane.style.opacity = String(look.opacity);
    }
  }

  swipe() {
    const swipe = this.model.get("swipe");
    const isOn = Boolean(swipe.left);
    if (isOn && !this.divider) this.divider = new Divider(this.model, this.box, this.leaflet);
    if (!isOn) {
      this.divider?.element.remove();
      this.divider = null;
    }
    this.divider?.show(swipe);
    this.clip();
  }

  // Panes move with the map, so that what is cut off them is another part after each step.
  clip() {
    const swipe = this.model.get("swipe");
    const wanted = new Map();
    if (swipe.left) {
      const { x: width, y: height } = this.leaflet.getSize();
      const { x, y } = this.leaflet.containerPointToLayerPoint([0, 0]);
      const at = x + this.model.get("position") * width;
      const far = 1e5; // what lies above and below the map is not seen anyway
      const rectangle = (from, to) =>
        `polygon(${from}px ${y - far}px, ${to}px ${y - far}px, ${to}px ${y + height + far}px, ${from}px ${y + height + far}px)`;
      if (swipe.left.pane) wanted.set(swipe.left.pane, rectangle(x - far, at));
      if (swipe.right.pane) wanted.set(swipe.right.pane, rectangle(at, x + width + far));
    }
    for (const name of this.cut) if (!wanted.has(name)) this.leaflet.getPane(name).style.clipPath = "";
    for (const [name, path] of wanted) this.leaflet.getPane(name).style.clipPath = path;
    this.cut = [...wanted.keys()];
  }

  close() {
    this.divider?.element.remove();
  }
}

function render({ model, el }) {
  const controller = new AbortController();
  const { signal } = controller;
  const attach = async () => {
    if (signal.aborted) return;
    const box = el.closest(".seglab-labeler")?.querySelector(".seglab-mapbox");
    const container = box?.querySelector(".leaflet-container");
    const leaflet = container ? await leafletOf(model, container) : null;
    if (leaflet === null || !leaflet.getPane("labels")) {
      setTimeout(attach, 50); // not in the page yet
      return;
    }
    if (signal.aborted) return;
    const panes = new Panes(model, box, leaflet);
    const watched = {
      "change:looks": () => panes.style(),
      "change:swipe": () => panes.swipe(),
      "change:position": () => panes.swipe(),
    };
    for (const [name, handler] of Object.entries(watched)) model.on(name, handler);
    const clip = () => panes.clip();
    leaflet.on("move zoom viewreset resize", clip);
    signal.addEventListener("abort", () => {
      for (const [name, handler] of Object.entries(watched)) model.off(name, handler);
      leaflet.off("move zoom viewreset resize", clip);
      panes.close();
    });
    panes.style();
    panes.swipe();
    container.dataset.seglabPanes = "true"; // layers are shown as they should be from now on
  };
  attach();
  return () => controller.abort();
}

export default { render };
