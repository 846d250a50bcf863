// Directions: sliders along what changes G's first activations most, and along directions of one's own.
import { json, sheet } from "./api.js";
import { field, h, newest, segmented } from "./dom.js";
import { canvasOf, Group, palette, picture } from "./tiles.js";

const REACH = 4;
const ENDS = 3;

export function open(panel, app) {
  const { run } = app;
  const state = { principal: {}, own: [], to: "samples" };
  const moved = h("div", { class: "moved", "aria-live": "off" });
  const sliders = h("div", { class: "stack" }), owned = h("div", { class: "stack" });
  let pictures = [], directions = [];

  const groups = {
    samples: new Group(app, "the samples", { most: 8, changed: () => { rebuild(); } }),
    start: new Group(app, "the group it comes from", { most: 16, hint: "From: such as faces that do not smile" }),
    end: new Group(app, "the group it goes to", { most: 16, hint: "To: such as faces that do" }),
  };
  const name = h("input", { type: "text", maxLength: 40, placeholder: "smile" });
  const add = h("button", { type: "button", class: "main", onclick: addOwn }, "Add direction");
  const reset = h("button", { type: "button", onclick: () => {
    state.principal = {};
    for (const one of state.own) one.amount = 0;
    for (const input of panel.querySelectorAll(".slider input")) { input.value = 0; input.dispatchEvent(new Event("reset")); }
    draw();
  } }, "All back to 0");

  panel.append(
    h("p", { class: "lead" }, "The first ten directions are the principal components of what the generator's first layer makes of z, found exactly from its weights. Each step is a standard deviation of z."),
    h("div", { class: "columns" },
      h("div", { class: "stack", style: { gap: "18px" } },
        h("section", { class: "card", "aria-label": "Moved samples" }, h("div", { class: "row spread" }, h("h2", {}, "Moved samples"), reset), moved),
        h("section", { class: "card", "aria-label": "Samples" },
          segmented("What you choose below goes to", { samples: "Samples", start: "From", end: "To" }, "samples", (to) => { state.to = to; mark(); }),
          h("div", { class: "field" }, h("span", { class: "label" }, "Samples to move"), groups.samples.element),
          h("div", { class: "columns", style: { gap: "10px" } },
            h("div", { class: "field" }, h("span", { class: "label" }, "Own direction: from"), groups.start.element),
            h("div", { class: "field" }, h("span", { class: "label" }, "Own direction: to"), groups.end.element)),
          h("div", { class: "row end" }, field("Its name", name), add))),
      h("section", { class: "card", "aria-label": "Sliders" }, h("h2", {}, "Sliders"), owned, sliders)),
    palette(app, (pick) => groups[state.to].add(pick)));

  function mark() { for (const [key, group] of Object.entries(groups)) group.element.classList.toggle("active", key === state.to); }

  function slider(text, value, set, ends = null) {
    const output = h("output", { class: "num" }, "0");
    const input = h("input", { type: "range", min: -REACH, max: REACH, step: 0.1, value, "aria-label": text, oninput: () => { show(); set(Number(input.value)); draw(); }, onreset: () => show() });
    const show = () => { output.textContent = Number(input.value).toFixed(1); };
    show();
    return h("div", { class: "slider" }, ends?.[0] ?? h("span", {}), h("div", { class: "middle" }, h("label", {}, h("span", {}, text), output), input), ends?.[1] ?? h("span", {}));
  }

  function move() {
    const principal = Object.fromEntries(Object.entries(state.principal).filter(([, amount]) => amount));
    return { principal, own: state.own.filter((one) => one.amount).map(({ start, end, amount }) => ({ start, end, amount })) };
  }

  function rebuild() {
    pictures = groups.samples.picks.map((pick) => picture(run, `Sample ${pick.number}, moved`));
    moved.replaceChildren(...pictures.map((one) => one.element));
    draw();
    thumbnails();
  }

  const draw = newest(async () => {
    const picks = groups.samples.picks, mine = pictures;
    if (!picks.length) return;
    try {
      const drawn = await sheet(run, "slide.png", picks.length, { body: { picks, moves: [move()] }, columns: 1 });
      if (mine === pictures) pictures.forEach((one, i) => drawn.paint(one.canvas, i));
    } catch (error) { app.wrong(error); }
  });

  /** What the ends of each slider do to the first sample. */
  const thumbnails = newest(async () => {
    const picks = groups.samples.picks.slice(0, 1);
    if (!picks.length || !directions.length) return;
    const moves = directions.flatMap(({ number }) => [-ENDS, ENDS].map((amount) => ({ principal: { [number]: amount } })));
    try {
      const drawn = await sheet(run, "slide.png", moves.length, { body: { picks, moves }, columns: moves.length });
      [...sliders.querySelectorAll("canvas")].forEach((canvas, i) => drawn.paint(canvas, i));
    } catch (error) { app.wrong(error); }
  });

  function addOwn() {
    const { start, end } = groups;
    if (!start.picks.length || !end.picks.length) { app.say("Choose samples for both groups first"); return; }
    const one = { start: start.picks, end: end.picks, amount: 0, name: name.value.trim() || `own ${state.own.length + 1}` };
    if (state.own.length >= 8) { app.say("Eight own directions at most"); return; }
    state.own.push(one);
    const row = slider(one.name, 0, (amount) => { one.amount = amount; });
    row.lastElementChild.replaceWith(h("button", { type: "button", class: "quiet", "aria-label": `Remove ${one.name}`, onclick: () => { state.own.splice(state.own.indexOf(one), 1); row.remove(); draw(); } }, "✕"));
    owned.append(row);
    for (const group of [start, end]) group.set([]);
    name.value = "";
    row.querySelector("input").focus();
  }

  async function begin() {
    groups.samples.set([0, 1, 2, 3].map((number) => app.pick(number)));
    mark();
    directions = await json(`/api/runs/${run.run}/directions`);
    sliders.replaceChildren(...directions.map(({ number, share }) => slider(
      `${number + 1} · ${(100 * share).toFixed(1)} %`, 0, (amount) => { state.principal[number] = amount; },
      [0, 1].map(() => h("div", { class: "picture" }, canvasOf(run))))));
    await thumbnails();
  }
  begin().catch(app.wrong);
  return {};
}
