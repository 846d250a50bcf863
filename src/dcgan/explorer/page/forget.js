// Forget: boxes over what should go; the same samples without the maps that stand for it; the edited generator kept.
import { json, samples } from "./api.js";
import { field, h, select } from "./dom.js";
import { Boxes } from "./boxes.js";
import { canvasOf } from "./tiles.js";

const BOXED = 16;
const SHOWN = 16;

export function open(panel, app) {
  const { run } = app;
  if (!run.scales.length) { panel.append(h("p", { class: "trouble" }, "This generator has no layer whose maps could be dropped.")); return {}; }
  const state = { scale: run.scales[0], maps: null, edit: null, start: 0, settings: app.sampling() };
  const fields = h("div", { class: "tiles", style: { "--tile": "128px" } });
  const count = h("span", { class: "soft small" });
  const forget = h("button", { type: "button", class: "main", onclick: go, disabled: true }, "Forget it");
  const clear = h("button", { type: "button", class: "quiet", onclick: () => fresh() }, "Clear");
  const results = h("section", { class: "card", "aria-label": "Without it", hidden: true });
  const maps = h("input", { type: "number", min: 1, max: run.maps[0], placeholder: "all" });
  const scale = select(run.scales.map((one, i) => [one, `${run.maps[i]} maps, 1/${one} of the size`]), state.scale, (value) => {
    state.scale = Number(value);
    maps.max = run.maps[run.scales.indexOf(state.scale)];
  });
  let boxed = [];

  panel.append(
    h("p", { class: "lead" }, "Drag boxes over what should go, such as mouths, on as many samples as you like. A regression finds the maps that tell the boxes from the rest; without them the generator draws the same samples again."),
    h("section", { class: "card", "aria-label": "What should go" },
      h("div", { class: "row spread" }, h("h2", {}, "What should go"), h("div", { class: "row" }, count, clear)),
      fields,
      h("div", { class: "row end" }, field("Layer", scale), field("Drop at most", maps), forget)),
    results);

  function fresh() {
    state.settings = app.sampling();
    boxed = Array.from({ length: BOXED }, (_, i) => new Boxes(run, app.pick(i), changed));
    fields.replaceChildren(...boxed.map((one) => one.element));
    changed();
    samples(run, { ...state.settings, start: 0, count: BOXED }).then((sheet) => boxed.forEach((one, i) => sheet.paint(one.canvas, i))).catch(app.wrong);
  }

  function drawn() { return boxed.flatMap((one) => one.boxes.map((box) => ({ number: one.pick.number, ...box }))); }

  function changed() {
    const n = drawn().length;
    count.textContent = n === 1 ? "1 box" : `${n} boxes`;
    forget.disabled = !n;
  }

  async function go() {
    if (!maps.reportValidity()) return;
    forget.disabled = true;
    forget.textContent = "Forgetting…";
    try {
      const body = { ...state.settings, boxes: drawn(), scale: state.scale, maps: maps.value ? Number(maps.value) : null };
      state.edit = await json(`/api/runs/${run.run}/forget`, body);
      await show(0);
    } catch (error) { app.wrong(error); } finally { forget.disabled = false; forget.textContent = "Forget it"; }
  }

  async function show(start) {
    const { edit } = state, asked = { ...state.settings, start, count: SHOWN };
    const [before, after] = await Promise.all([samples(run, asked), samples(run, { ...asked, edit: edit.id })]);
    const pairs = Array.from({ length: SHOWN }, (_, i) => {
      const pair = [before, after].map((sheet, j) => {
        const canvas = canvasOf(run);
        canvas.removeAttribute("aria-hidden");
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `Sample ${start + i} ${j ? "without it" : "as it was"}`);
        sheet.paint(canvas, i);
        return h("div", { class: "picture" }, canvas);
      });
      return h("div", { class: "pair" }, pair);
    });
    const name = h("input", { type: "text", maxLength: 40, pattern: "[a-z0-9][a-z0-9_\\-]*", required: true, value: "forgotten", title: "small letters, digits, - and _" });
    const save = h("button", { type: "button", onclick: async () => {
      if (!name.reportValidity()) return;
      try {
        const { file, given } = await json(`/api/runs/${run.run}/forget/${edit.id}/save`, { name: name.value });
        said.textContent = `Saved as ${file} in the run. `;
        said.append(h("code", {}, `dcgan sample ${given} --out grid.png`));
      } catch (error) { app.wrong(error); }
    } }, "Save the generator");
    const said = h("p", { class: "small soft", role: "status" });
    results.hidden = false;
    results.replaceChildren(
      h("div", { class: "row spread" }, h("h2", {}, "As they were, and without it"),
        h("div", { class: "row" },
          h("button", { type: "button", "aria-label": "Pairs before", disabled: !start, onclick: () => show(Math.max(0, start - SHOWN)).catch(app.wrong) }, "◀"),
          h("span", { class: "small soft num" }, `${start} to ${start + SHOWN - 1}`),
          h("button", { type: "button", "aria-label": "Pairs after", onclick: () => show(start + SHOWN).catch(app.wrong) }, "▶"))),
      h("p", { class: "small soft" }, `${edit.maps.length} of ${edit.of} maps are dropped. They tell ${(100 * edit.accuracy).toFixed(0)} % of ${edit.places.toLocaleString("en-US")} places inside the boxes from as many outside.`),
      h("div", { class: "pairs" }, pairs),
      run.directory ? h("div", { class: "row end" }, field("Save it as", name), save) : null, said);
  }

  fresh();
  return {};
}
