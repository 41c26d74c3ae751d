// Keys pressed in the labeler become commands of the labeler. The notebook's own shortcuts are single letters too ("a"
// inserts a cell, "d", "d" deletes one), so the events are stopped at the window, before JupyterLab hears of them.

const SUPPRESS = "data-lm-suppress-shortcuts"; // Lumino runs no shortcut for a key pressed below this attribute
const TEXT = "textarea, [contenteditable], input:not([type=range], [type=checkbox], [type=radio], [type=button])";
const PRESSED = "button, a[href], summary"; // Enter and Space press these
const PANS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "+", "=", "-", "_"]; // Leaflet's, heard at the document
const MOVES = "Tab"; // Leaflet gives the map its focus ring back, which it takes away at a press of the mouse

// "Ctrl+Shift+z": a letter in lower case, whatever Caps Lock says; Cmd counts as Ctrl.
function nameOf(event) {
  const altGr = event.getModifierState("AltGraph"); // Windows reports it as Ctrl and Alt
  const ctrl = (event.ctrlKey || event.metaKey) && !altGr;
  const isLetter = event.key.length === 1 && event.key.toLowerCase() !== event.key.toUpperCase();
  if (event.altKey && !altGr && (isLetter || ctrl)) return "";
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return `${ctrl ? "Ctrl+" : ""}${event.shiftKey && (isLetter || key.length > 1) ? "Shift+" : ""}${key}`;
}

function listen(model, root, signal) {
  let held = false; // whether the latest press or focus was in here
  const note = (event) => {
    held = root.contains(event.target);
  };
  document.addEventListener("pointerdown", note, { signal, capture: true });
  document.addEventListener("focusin", note, { signal, capture: true });

  // A button that is disabled by its own action loses the focus to the page; the keys go on working.
  const isHere = (event) => root.contains(event.target) || (held && event.target === document.body);

  // Lumino looks up from the target: for Ctrl and Cmd (saving, above all) the attribute must be away meanwhile.
  const letThrough = () => {
    root.removeAttribute(SUPPRESS);
    setTimeout(() => root.setAttribute(SUPPRESS, "true"));
  };
  root.setAttribute(SUPPRESS, "true");
  signal.addEventListener("abort", () => root.removeAttribute(SUPPRESS));

  const take = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };

  window.addEventListener(
    "keydown",
    (event) => {
      if (!isHere(event) || event.isComposing) return;
      if (event.target.closest(TEXT) || event.target.isContentEditable) {
        if (event.ctrlKey || event.metaKey) letThrough();
        // the text must be with the kernel before the message that Enter was pressed
        if (event.key === "Enter") event.target.dispatchEvent(new Event("change", { bubbles: true }));
        return;
      }
      const key = nameOf(event);
      const pressing = event.target.closest(PRESSED) && (key === "Enter" || key === " ");
      const command = pressing ? undefined : model.get("bindings")[key];
      if (["Enter", "Escape", "Backspace", "Delete"].includes(key) && !pressing && root.dataset.seglabDrawing) {
        take(event);
        root.dispatchEvent(new CustomEvent("seglab-drawing", { detail: key }));
        return;
      }
      const zooms = command === "smaller" || command === "larger"; // else Leaflet's
      if (command === undefined || (zooms && !("seglabSized" in root.dataset))) {
        if (event.ctrlKey || event.metaKey) letThrough();
        return;
      }
      take(event);
      if (!event.repeat || model.get("repeating").includes(command)) model.send({ command });
    },
    { signal, capture: true },
  );
  // What is left over is no command of the notebook either.
  root.addEventListener(
    "keydown",
    (event) => {
      if (!event.ctrlKey && !event.metaKey && ![...PANS, MOVES].includes(event.key)) event.stopPropagation();
    },
    { signal },
  );
  // A press anywhere in the labeler brings the keys here.
  root.addEventListener(
    "click",
    () => {
      if (!root.contains(document.activeElement)) focusMap(root);
    },
    { signal },
  );
}

// Another map takes the place of the one that had the focus: the keys go on there, unless the person is elsewhere.
function refocus(model, root, signal) {
  const wanted = (message) => {
    if (message.focus !== "map") return;
    const before = root.querySelector(".seglab-mapbox .leaflet-container");
    let looks = 60;
    const look = () => {
      const at = document.activeElement;
      if (signal.aborted || (at && at !== document.body && !root.contains(at) && !at.contains(root))) return;
      const map = root.querySelector(".seglab-mapbox .leaflet-container");
      if (map && (map !== before || looks < 30)) focusMap(root);
      else if (looks-- > 0) requestAnimationFrame(look);
    };
    look();
  };
  model.on("msg:custom", wanted);
  signal.addEventListener("abort", () => model.off("msg:custom", wanted));
}

function focusMap(root) {
  root.querySelector(".seglab-mapbox .leaflet-container")?.focus({ preventScroll: true });
}

// A button that shows only an icon gets its tooltip as its name; a toggle says whether it is pressed. A slider gets the
// tooltip that ipywidgets gives to its label only, which may be hidden.
function nameButtons(root, signal) {
  const name = () => {
    for (const button of root.querySelectorAll("button.jupyter-button")) {
      if (!button.textContent.trim() && button.title && button.getAttribute("aria-label") !== button.title) {
        button.setAttribute("aria-label", button.title);
      }
      if (button.classList.contains("widget-toggle-button")) {
        const pressed = String(button.classList.contains("mod-active"));
        if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
      }
    }
    for (const handle of root.querySelectorAll(".widget-slider .noUi-handle")) {
      const slider = handle.closest(".widget-slider");
      const words = slider.querySelector(".widget-label")?.title;
      if (words && slider.title !== words) {
        slider.title = words;
        handle.setAttribute("aria-label", words);
      }
    }
    const map = root.querySelector(".seglab-mapbox .leaflet-container");
    if (map && !map.hasAttribute("aria-label")) {
      map.setAttribute("role", "application");
      map.setAttribute("aria-label", "Map of the scene");
    }
  };
  const observer = new MutationObserver(name);
  observer.observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "title"] });
  signal.addEventListener("abort", () => observer.disconnect());
  name();
}

function render({ model, el }) {
  const controller = new AbortController();
  const attach = () => {
    if (controller.signal.aborted) return;
    const root = el.closest(".seglab-labeler");
    if (root) {
      listen(model, root, controller.signal);
      nameButtons(root, controller.signal);
      refocus(model, root, controller.signal);
    } else requestAnimationFrame(attach); // not in the page yet
  };
  attach();
  return () => controller.abort();
}

export default { render };
