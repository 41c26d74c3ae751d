// A list of objects, of which only the rows in view are in the page: the kernel sends a page of them as it is scrolled.

const ROW = 40; // CSS pixels, as in labeler.css
const MARGIN = 20; // rows kept ready beyond the edges of the view
const REST = 100; // milliseconds that the list stands still before thumbnails are asked for
const PICTURES = 400; // thumbnails that are kept, at most

function cell(kind, text) {
  const made = document.createElement("span");
  made.className = kind;
  made.textContent = text;
  return made;
}

// [id, place of the class, class, area, predicted IoU or score, round, author or origin, unsure, note, stamp]
function rowOf([id, place, name, area, iou, round, author, unsure, note, stamp], index, selected, proposed, picture) {
  const row = document.createElement("div");
  row.className = `seglab-object seglab-class-${place}${selected ? " seglab-selected" : ""}`;
  row.style.top = `${index * ROW}px`;
  row.dataset.id = id;
  row.dataset.index = index;
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", String(selected));
  const about = proposed ? `score ${iou} · ${author}` : `IoU ${iou} · round ${round} · ${author}`;
  const kind = proposed ? "Proposed" : `Object ${id}`;
  row.title = `${kind}: ${name}, ${area}, ${proposed ? about : `predicted ${about}`}${unsure ? ", unsure" : ""}${note ? `\nNote: ${note}` : ""}`;
  const first = document.createElement("div");
  first.append(cell("seglab-swatch", ""), cell("seglab-object-name", name));
  first.append(cell("seglab-object-area", area));
  const second = document.createElement("div");
  second.className = "seglab-object-about";
  if (unsure) second.append(cell("seglab-flag", "unsure"));
  if (note) second.append(cell("seglab-flag", "note"));
  second.append(note ? `${note} · ${about}` : about);
  const image = document.createElement("img");
  image.alt = "";
  if (picture?.stamp === stamp) image.src = picture.url;
  else row.dataset.bare = stamp;
  row.append(image, first, second);
  return row;
}

function render({ model, el }) {
  const list = document.createElement("div");
  list.className = "seglab-objects-list";
  list.tabIndex = 0;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-multiselectable", "true");
  list.setAttribute("aria-label", "Objects");
  const space = document.createElement("div");
  space.className = "seglab-objects-space";
  list.append(space);
  el.append(list);

  const pictures = new Map(); // by the object's number: {stamp, url}
  let resting = null;
  // The rows in view that have no picture ask for one, once the list has come to rest.
  const askPictures = () => {
    clearTimeout(resting);
    resting = setTimeout(() => {
      const [top, bottom] = [list.scrollTop - ROW, list.scrollTop + list.clientHeight];
      if (!list.clientHeight) return; // another tab is shown
      const bare = [...space.querySelectorAll("[data-bare]")].filter((row) => {
        const at = Number(row.dataset.index) * ROW;
        return at > top && at < bottom;
      });
      if (bare.length) model.send({ bare: bare.map((row) => Number(row.dataset.id)) });
    }, REST);
  };
  const take = ([id, stamp, url]) => {
    pictures.delete(id);
    pictures.set(id, { stamp, url });
    if (pictures.size > PICTURES) pictures.delete(pictures.keys().next().value);
    const row = space.querySelector(`[data-id="${id}"]`);
    if (row?.dataset.bare !== String(stamp)) return;
    delete row.dataset.bare;
    row.querySelector("img").src = url;
  };

  const draw = () => {
    const first = model.get("first");
    const selected = new Set(model.get("selected"));
    space.style.height = `${model.get("total") * ROW}px`;
    const rows = model.get("rows").map((row, i) => rowOf(row, first + i, selected.has(row[0]), model.get("proposed"), pictures.get(row[0])));
    if (!rows.length) rows.push(cell("seglab-faint", model.get("empty")));
    space.replaceChildren(...rows);
    askPictures();
  };
  let waiting = false;
  const ask = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const [first, held, total] = [model.get("first"), model.get("rows").length, model.get("total")];
      const top = Math.floor(list.scrollTop / ROW);
      const bottom = Math.ceil((list.scrollTop + list.clientHeight) / ROW);
      const short = top - MARGIN / 2 < first && first > 0;
      if (!short && (bottom + MARGIN / 2 <= first + held || first + held >= total)) return;
      model.set("wanted", Math.max(0, Math.min(top, total - 1) - MARGIN));
      model.save_changes();
    });
  };
  const show = (index) => {
    if (index * ROW < list.scrollTop) list.scrollTop = index * ROW;
    else if ((index + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (index + 1) * ROW - list.clientHeight;
  };
  list.addEventListener("scroll", ask, { passive: true });
  list.addEventListener("scroll", askPictures, { passive: true });
  const seen = new ResizeObserver(askPictures); // also when its tab is opened
  seen.observe(list);
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".seglab-object");
    if (!row) return;
    const how = event.shiftKey ? "range" : event.ctrlKey || event.metaKey ? "toggle" : "one";
    model.send({ pick: Number(row.dataset.id), how });
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    model.send({ step });
  });
  model.on("msg:custom", (message) => {
    if (message.show !== undefined) show(message.show);
    if (message.thumbnail !== undefined) take(message.thumbnail);
  });
  for (const name of ["rows", "total", "selected", "empty", "proposed"]) model.on(`change:${name}`, draw);
  model.on("change:rows change:total", ask);
  draw();
  return () => {
    clearTimeout(resting);
    seen.disconnect();
  };
}

export default { render };
