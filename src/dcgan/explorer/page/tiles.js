// Samples as tiles, groups of them to drop into, and the palette that they are taken from.
import { picked, samples } from "./api.js";
import { h, later } from "./dom.js";

const DRAGGED = "application/x-dcgan-sample";

export function keyOf(pick) { return JSON.stringify([pick.seed, pick.number, pick.label ?? null, pick.truncation ?? null]); }

export function nameOf(pick) {
  const parts = [`Sample ${pick.number} of seed ${pick.seed}`];
  if (pick.label != null) parts.push(`class ${pick.label}`);
  if (pick.truncation != null) parts.push(`truncation ${pick.truncation}`);
  return parts.join(", ");
}

export function canvasOf(run) {
  return h("canvas", { width: run.width, height: run.height, class: Math.min(run.width, run.height) < 48 ? "coarse" : "", "aria-hidden": "true" });
}

/** A picture that is only looked at. */
export function picture(run, name, ...more) {
  const canvas = canvasOf(run);
  canvas.removeAttribute("aria-hidden");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return { canvas, element: h("figure", {}, h("div", { class: "picture" }, canvas), more) };
}

/** A sample as a button that can be dragged. */
export function tile(run, pick, { onclick, doing = "", mark = "" } = {}) {
  const canvas = canvasOf(run);
  const element = h("button", { class: "tile", type: "button", "aria-label": `${doing}${nameOf(pick)}`, title: nameOf(pick), draggable: true,
    onclick: () => onclick?.(pick),
    ondragstart: (event) => { event.dataTransfer.setData(DRAGGED, JSON.stringify(pick)); event.dataTransfer.effectAllowed = "copy"; } },
  canvas, mark ? h("span", { class: "mark", "aria-hidden": "true" }, mark) : null);
  return { element, canvas };
}

/** The newest of the favourites first, as many as are drawn at once, and words for how many there are. */
export function newestOf(favourites, most = 64) {
  const { length } = favourites;
  return { newest: favourites.slice(-most).reverse(), many: length > most ? `the newest ${most} of ${length}` : String(length) };
}

/** Tiles of these samples in a container, drawn all at once. */
export async function fill(container, run, picks, options = {}) {
  const tiles = picks.map((pick, i) => tile(run, pick, { ...options, mark: options.marks?.[i] }));
  container.replaceChildren(...tiles.map((one) => one.element));
  if (!picks.length) return;
  const sheet = await picked(run, picks);
  tiles.forEach((one, i) => sheet.paint(one.canvas, i));
}

/** A group of samples: drop or add some, click one to take it out. `changed()` is called after each change. */
export class Group {
  constructor(app, name, { most = 9, hint = "Choose samples below, or drop them here", changed = () => {} } = {}) {
    Object.assign(this, { app, name, most, changed, hint, picks: [] });
    this.element = h("div", { class: "slots", role: "group", "aria-label": name,
      ondragover: (event) => { if (event.dataTransfer.types.includes(DRAGGED)) { event.preventDefault(); this.element.classList.add("over"); } },
      ondragleave: () => this.element.classList.remove("over"),
      ondrop: (event) => {
        event.preventDefault();
        this.element.classList.remove("over");
        this.add(JSON.parse(event.dataTransfer.getData(DRAGGED)));
      } });
    this.show();
  }

  add(pick) {
    if (this.picks.length >= this.most) { this.app.say(`${this.name} holds ${this.most} samples at most`); return; }
    this.set([...this.picks, pick]);
    this.app.say(`${nameOf(pick)} added to ${this.name}`);
  }

  set(picks) {
    this.picks = picks;
    this.show();
    this.changed();
  }

  show() {
    if (!this.picks.length) { this.element.replaceChildren(h("span", { class: "hint" }, this.hint)); return; }
    const marks = this.marked ? this.picks.map((_, i) => String(i + 1)) : [];
    fill(this.element, this.app.run, this.picks, { doing: "Take out: ", marks, onclick: (pick) => {
      const place = this.picks.indexOf(pick);
      this.set(this.picks.filter((_, i) => i !== place));
      (this.element.querySelectorAll(".tile")[Math.max(0, place - 1)] ?? this.element).focus?.();
    } }).catch(this.app.wrong);
  }
}

/** Samples to choose from: those of a seed a page at a time, or the favourites. */
export function palette(app, onpick, { count = 24, title = "Choose samples" } = {}) {
  const run = app.run, grid = h("div", { class: "tiles tight" });
  let start = 0, favourites = false;
  const where = h("span", { class: "soft small num" });
  const back = h("button", { type: "button", "aria-label": "Samples before", onclick: () => { start = Math.max(0, start - count); show(); } }, "◀");
  const on = h("button", { type: "button", "aria-label": "Samples after", onclick: () => { start += count; show(); } }, "▶");
  const seed = h("input", { type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, value: app.state.seed, "aria-label": "Seed of the samples",
    onchange: () => { if (seed.reportValidity() && seed.value !== "") { start = 0; app.set({ seed: Number(seed.value) }); } } });
  const kept = h("input", { type: "checkbox", onchange: () => { favourites = kept.checked; show(); } });

  async function show() {
    const { newest, many } = newestOf(app.favourites());
    back.disabled = favourites || start === 0;
    on.disabled = seed.disabled = favourites;
    where.textContent = favourites ? `${many} favourites` : `${start} to ${start + count - 1}`;
    const options = { doing: "Choose: ", onclick: onpick };
    try {
      if (favourites) { await fill(grid, run, newest, options); return; }
      const picks = Array.from({ length: count }, (_, i) => app.pick(start + i));
      const tiles = picks.map((pick) => tile(run, pick, options));
      grid.replaceChildren(...tiles.map((one) => one.element));
      const sheet = await samples(run, { ...app.sampling(), start, count });
      tiles.forEach((one, i) => sheet.paint(one.canvas, i));
    } catch (error) { app.wrong(error); }
  }
  show();
  // Other settings in another tab are those of this one too.
  const follow = later(() => {
    if (!grid.isConnected) { for (const name of ["sampling", "favourites"]) document.removeEventListener(name, follow); return; }
    seed.value = app.state.seed;
    show();
  });
  for (const name of ["sampling", "favourites"]) document.addEventListener(name, follow);
  return h("section", { class: "card", "aria-label": title },
    h("div", { class: "row spread" }, h("h2", {}, title),
      h("div", { class: "row" }, h("label", { class: "check small" }, kept, "favourites"), h("label", { class: "check small" }, "seed", seed), back, where, on)),
    grid);
}
