// What only the page can do for the labeler: keep JupyterLab's context menu away from the map, say whether a click was
// meant as a minus or to select, draw the box while it is being dragged, and keep the flood of the pointer's moves from
// the kernel.

const MOVES = 120; // milliseconds between two moves that Leaflet, and with it the kernel, hears of

function inMap(event) {
  return event.target.closest(".leaflet-container") && !event.target.closest(".leaflet-control");
}

// Follows a drag with a rectangle. The corners themselves reach the kernel as coordinates of the map.
function drawBand(container, start, signal) {
  const band = document.createElement("div");
  band.className = "seglab-band";
  const frame = container.getBoundingClientRect();
  container.appendChild(band);
  const done = new AbortController();
  const stop = () => {
    done.abort();
    band.remove();
  };
  const move = (event) => {
    const x = [start.clientX, event.clientX].map((v) => Math.min(Math.max(v, frame.left), frame.right) - frame.left);
    const y = [start.clientY, event.clientY].map((v) => Math.min(Math.max(v, frame.top), frame.bottom) - frame.top);
    band.style.left = `${Math.min(...x)}px`;
    band.style.top = `${Math.min(...y)}px`;
    band.style.width = `${Math.abs(x[1] - x[0])}px`;
    band.style.height = `${Math.abs(y[1] - y[0])}px`;
  };
  move(start);
  document.addEventListener("mousemove", move, { signal: done.signal });
  document.addEventListener("mouseup", stop, { signal: done.signal, capture: true });
  signal.addEventListener("abort", stop);
}

function keep(model, root, signal) {
  root.addEventListener(
    "contextmenu",
    (event) => {
      if (!inMap(event)) return;
      event.preventDefault();
      event.stopPropagation(); // Leaflet, further in, has seen it already
    },
    { signal },
  );
  root.addEventListener(
    "mousedown",
    (event) => {
      if (!inMap(event) || event.button !== 0) return;
      const minus = event.altKey || event.shiftKey;
      const picking = event.ctrlKey || event.metaKey;
      if (model.get("minus") !== minus || model.get("picking") !== picking) {
        model.set("minus", minus);
        model.set("picking", picking);
        model.save_changes(); // travels ahead of the click that Leaflet sends when the button is released
      }
      if (picking) return;
      if (["box", "keep_out"].includes(model.get("tool"))) drawBand(event.target.closest(".leaflet-container"), event, signal);
    },
    { signal, capture: true },
  );
  thinMoves(root, signal);
}

// Leaflet sends the kernel every move of the pointer; a few a second are enough. The last one always arrives.
function thinMoves(root, signal) {
  let last = 0;
  let timer = null;
  const forget = () => {
    clearTimeout(timer);
    timer = null;
  };
  const move = (event) => {
    if (!event.isTrusted) return;
    forget();
    if (event.buttons || !inMap(event)) return; // outside, Leaflet has heard already that the pointer has left
    const wait = last + MOVES - event.timeStamp;
    if (wait <= 0) {
      last = event.timeStamp;
      return;
    }
    event.stopPropagation();
    timer = setTimeout(() => {
      last = performance.now();
      event.target.dispatchEvent(new MouseEvent("mousemove", event));
    }, wait);
  };
  root.addEventListener("mousemove", move, { signal, capture: true });
  root.addEventListener("mousedown", forget, { signal, capture: true }); // a click goes first
  root.addEventListener("mouseleave", forget, { signal });
  signal.addEventListener("abort", forget);
}

function render({ model, el }) {
  const controller = new AbortController();
  const attach = () => {
    if (controller.signal.aborted) return;
    const root = el.closest(".seglab-labeler");
    if (root) keep(model, root, controller.signal);
    else requestAnimationFrame(attach); // not in the page yet
  };
  attach();
  return () => controller.abort();
}

export default { render };
