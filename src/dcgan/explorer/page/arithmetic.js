// Arithmetic: A - B + C of groups of samples, amid its neighbours, and the same on pixels.
import { sheet } from "./api.js";
import { field, h, later, newest, segmented } from "./dom.js";
import { Group, palette, picture } from "./tiles.js";

export function open(panel, app) {
  const { run } = app, state = { to: "a", noise: 0.25 };
  const groups = {}, means = {}, pixels = {};
  for (const key of ["a", "b", "c"]) {
    const name = key.toUpperCase();
    groups[key] = new Group(app, `group ${name}`, { most: 16, changed: () => draw() });
    means[key] = picture(run, `What the mean z of ${name} draws`, h("figcaption", {}, "mean z"));
    pixels[key] = picture(run, `The mean of the pixels of ${name}`, h("figcaption", {}, "mean of pixels"));
  }
  const results = Array.from({ length: 9 }, (_, i) => picture(run, i === 4 ? "The result" : `Neighbour ${i < 4 ? i + 1 : i} of the result`));
  results[4].element.firstChild.classList.add("result");
  const control = picture(run, "A - B + C of pixels", h("figcaption", {}, "A − B + C of pixels, the control"));
  const much = h("output", {}, String(state.noise));
  const noise = h("input", { type: "range", min: 0, max: 1.5, step: 0.05, value: state.noise, oninput: () => { state.noise = Number(noise.value); much.textContent = `±${state.noise}`; drawSoon(); } });
  const part = (key) => h("div", { class: "stack" }, h("h3", {}, key.toUpperCase()), groups[key].element, h("div", { class: "columns", style: { gap: "6px", "grid-template-columns": "1fr 1fr", "max-width": "190px" } }, means[key].element, pixels[key].element));
  const sign = (text, name) => h("div", { class: "sign", role: "img", "aria-label": name }, text);

  panel.append(
    h("p", { class: "lead" }, "Three samples a group, as in the paper: such as smiling women − neutral women + neutral men. The mean of several z is a concept; of one z it is only that sample."),
    h("section", { class: "card", "aria-label": "Groups" },
      segmented("What you choose below goes to", { a: "A", b: "B", c: "C" }, "a", (to) => { state.to = to; mark(); }),
      h("div", { class: "sum" }, part("a"), sign("−", "minus"), part("b"), sign("+", "plus"), part("c"))),
    palette(app, (pick) => groups[state.to].add(pick)),
    h("div", { class: "columns" },
      h("section", { class: "card", "aria-label": "Result" }, h("h2", {}, "= the result, amid its neighbours"),
        h("div", { class: "three", style: { "max-width": "420px" } }, results.map((one) => one.element)),
        field("Noise of the neighbours", noise, much)),
      h("section", { class: "card", "aria-label": "Control" }, h("h2", {}, "The same on pixels"),
        h("div", { style: { "max-width": "200px" } }, control.element),
        h("p", { class: "soft small" }, "Adding pixels lays pictures over each other. The generator draws one that could have been a sample."))));

  function mark() { for (const [key, group] of Object.entries(groups)) group.element.classList.toggle("active", key === state.to); }

  const draw = newest(async () => {
    const [a, b, c] = ["a", "b", "c"].map((key) => groups[key].picks);
    if (!a.length || !b.length || !c.length) return;
    try {
      const drawn = await sheet(run, "arithmetic.png", 16, { body: { a, b, c, noise: state.noise, seed: 0 } });
      results.forEach((one, i) => drawn.paint(one.canvas, i));
      ["a", "b", "c"].forEach((key, i) => { drawn.paint(means[key].canvas, 9 + i); drawn.paint(pixels[key].canvas, 12 + i); });
      drawn.paint(control.canvas, 15);
    } catch (error) { app.wrong(error); }
  });
  const drawSoon = later(() => draw());

  const first = (start) => [0, 1, 2].map((i) => app.pick(start + i));
  mark();
  groups.a.set(first(0));
  groups.b.set(first(3));
  groups.c.set(first(6));
  return {};
}
