// Honesty: the training images nearest to samples, by pixels.
import { cut, json } from "./api.js";
import { h, newest, number } from "./dom.js";
import { Group, palette, picture } from "./tiles.js";

const K = 4;
const NEAR = 0.5;

export function open(panel, app) {
  const { run } = app;
  const result = h("section", { class: "card", "aria-label": "Nearest training images" }, h("p", { class: "soft" }, "Looking…"));
  const group = new Group(app, "the samples", { most: 12, changed: () => look() });
  panel.append(
    h("p", { class: "lead" }, "A generator that draws its training images again has learned nothing else. Beside each sample are the training images nearest to it by Euclidean distance of pixels."),
    h("section", { class: "card", "aria-label": "Samples" }, h("div", { class: "row spread" }, h("h2", {}, "Samples"), h("button", { type: "button", class: "quiet", onclick: () => group.set(Array.from({ length: 6 }, () => app.pick(Math.floor(Math.random() * 10_000)))) }, "Others")), group.element),
    result,
    palette(app, (pick) => group.add(pick)));

  const look = newest(async () => {
    const { picks } = group;
    if (!picks.length) { result.replaceChildren(h("p", { class: "soft" }, "Choose samples to look for.")); return; }
    result.setAttribute("aria-busy", "true");
    try {
      const found = await json(`/api/runs/${run.run}/neighbours`, { picks, k: K });
      if (!found.found) { result.replaceChildren(h("p", { class: "trouble" }, `There is nothing to compare with: ${found.reason}.`)); return; }
      const k = found.neighbours[0].length;
      const bytes = Uint8Array.from(atob(found.picture), (c) => c.charCodeAt(0));
      const sheet = await cut(new Blob([bytes], { type: "image/png" }), run, picks.length * (1 + k), 1 + k);
      const rows = picks.map((pick, row) => {
        const cells = Array.from({ length: 1 + k }, (_, column) => {
          const near = found.neighbours[row][column - 1];
          const ratio = near && found.usual ? near.distance / found.usual : 0;
          const caption = near ? h("figcaption", {}, h("span", { class: found.usual && ratio < NEAR ? "near num" : "num" }, near.distance.toFixed(2)), near.label !== null ? ` · ${near.label}` : "") : h("figcaption", {}, `sample ${pick.number}`);
          const one = picture(run, near ? `Training image ${near.number} at distance ${near.distance.toFixed(2)}` : `Sample ${pick.number}`, caption);
          if (!near) one.element.firstChild.classList.add("result");
          sheet.paint(one.canvas, row * (1 + k) + column);
          return one.element;
        });
        return h("div", { class: "honest", style: { "--k": k } }, cells[0], h("span", { class: "bar" }), cells.slice(1));
      });
      const part = found.images < found.of ? ` of ${number(found.of)}` : "";
      result.replaceChildren(
        h("h2", {}, "Sample, and the nearest training images"),
        h("p", { class: "soft small" }, `Of ${number(found.images)}${part} training images; pixels in [0, 1]. Half of the training images are within ${found.usual.toFixed(2)} of another one: a copy is far nearer than that (marked below half of it), but so is a simple drawing. `, h("code", {}, `dcgan evaluate ${run.given} --metrics memorisation`), " compares with held-out images, and tells them apart."),
        h("div", { class: "honest-rows" }, rows));
    } catch (error) { app.wrong(error); } finally { result.removeAttribute("aria-busy"); }
  });

  const wished = app.wish;
  app.wish = null;
  group.set(wished ?? Array.from({ length: 6 }, (_, i) => app.pick(i)));
  return {};
}
