// Walk: a path through two to nine samples, played, scrubbed, and taken along as a GIF.
import { blob, sheet } from "./api.js";
import { download, field, h, later, newest, segmented } from "./dom.js";
import { Group, palette, picture } from "./tiles.js";

export function open(panel, app) {
  const { run } = app;
  const state = { interpolation: "spherical", steps: 24, loop: false, frames: 0, at: 0, playing: false, sheet: null, rate: 12 };
  const view = picture(run, "The walk");
  const path = new Group(app, "the path", { changed: () => draw() });
  path.marked = true;

  const scrub = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Frame of the walk", oninput: () => { pause(); to(Number(scrub.value)); } });
  const where = h("output", { class: "num" });
  const play = h("button", { type: "button", class: "main", onclick: () => (state.playing ? pause() : start()) }, "▶ Play");
  const steps = h("input", { type: "range", min: 4, max: 60, value: state.steps, oninput: () => { state.steps = Number(steps.value); much.textContent = state.steps; drawSoon(); } });
  const much = h("output", {}, String(state.steps));
  const rate = h("input", { type: "range", min: 2, max: 40, value: state.rate, oninput: () => { state.rate = Number(rate.value); } });
  const loop = h("input", { type: "checkbox", onchange: () => { state.loop = loop.checked; draw(); } });
  const save = h("button", { type: "button", onclick: exportGif }, "Export GIF");
  const surprise = h("button", { type: "button", onclick: () => path.set(Array.from({ length: 5 }, () => app.pick(Math.floor(Math.random() * 10_000)))) }, "Surprise me");
  const clear = h("button", { type: "button", class: "quiet", onclick: () => path.set([]) }, "Clear");

  panel.append(
    h("p", { class: "lead" }, "Two to nine samples make a path. Every frame on the way is drawn by the generator; nothing is faded."),
    h("div", { class: "columns" },
      h("section", { class: "card player", "aria-label": "Player" }, view.element, h("div", { class: "bar" }, play, scrub, where)),
      h("section", { class: "card", "aria-label": "Path" },
        h("div", { class: "row spread" }, h("h2", {}, "Path"), h("div", { class: "row" }, surprise, clear)),
        path.element,
        segmented("Between the samples", { spherical: "Arc", linear: "Line" }, state.interpolation, (value) => { state.interpolation = value; draw(); }),
        field("Frames from one to the next", steps, much),
        field("Speed", rate),
        h("div", { class: "row spread" }, h("label", { class: "check" }, loop, "back to the first"), save))),
    palette(app, (pick) => path.add(pick)));

  function asked() {
    const legs = path.picks.length - (state.loop ? 0 : 1);
    const most = Math.max(2, Math.floor((run.most - 1) / legs) + 1);
    return { through: path.picks, steps: Math.min(state.steps, most), interpolation: state.interpolation, loop: state.loop };
  }

  const draw = newest(async () => {
    const enough = path.picks.length >= 2;
    save.disabled = !enough;
    play.disabled = scrub.disabled = !enough || !state.frames;
    if (!enough) { pause(); where.textContent = ""; return; }
    const body = asked(), count = (body.through.length - (body.loop ? 0 : 1)) * (body.steps - 1) + 1;
    try {
      state.sheet = await sheet(run, "walk.png", count, { body });
      state.frames = count - (body.loop ? 1 : 0);
      scrub.max = state.frames - 1;
      play.disabled = scrub.disabled = false;
      to(Math.min(state.at, state.frames - 1));
    } catch (error) { app.wrong(error); }
  });
  const drawSoon = later(() => draw());

  function to(frame) {
    state.at = frame;
    scrub.value = frame;
    state.sheet?.paint(view.canvas, frame);
    where.textContent = `${frame + 1} of ${state.frames}`;
  }

  let then = 0;
  function tick(now) {
    if (!state.playing) return;
    if (now - then >= 1000 / state.rate) { then = now; to((state.at + 1) % state.frames); }
    requestAnimationFrame(tick);
  }
  function start() { state.playing = true; play.textContent = "❚❚ Pause"; requestAnimationFrame(tick); }
  function pause() { state.playing = false; play.textContent = "▶ Play"; }

  async function exportGif() {
    save.disabled = true;
    try { download(await blob(`/api/runs/${run.run}/walk.gif`, asked()), `${run.name}-walk.gif`); app.say("The GIF is in your downloads"); } catch (error) { app.wrong(error); } finally { save.disabled = false; }
  }

  path.set([0, 1, 2, 3].map((number) => app.pick(number)));
  return { hide: pause };
}
