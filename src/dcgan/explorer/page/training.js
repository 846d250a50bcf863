// Training: curves, health and the fixed samples over time, of a run that is done or under way.
import { blob, json } from "./api.js";
import { h, number } from "./dom.js";
import { Chart } from "./chart.js";

const SECONDS = 2;
const FRESH = 90;
const CHARTS = [
  ["Losses", { loss_d: "D", loss_g: "G" }],
  ["What D says", { d_real: "D(x)", d_fake: "D(G(z))", d_right: "share right", d_turn: "share of turns right" }],
  ["Variety", { diversity: "diversity of samples", oscillation: "oscillation" }],
  ["Dead filters", { dead_g: "G", dead_d: "D" }],
  ["Gradients", { grad_d: "D", grad_g: "G" }],
  ["Images a second", { images_per_second: "images a second" }],
  ["Augmentation", { augment_p: "probability" }],
];
const KNOWN = new Set(["step", "images", "seconds", "moved_g", ...CHARTS.flatMap(([, names]) => Object.keys(names))]);

export function open(panel, app) {
  const { run } = app;
  if (!run.directory) { panel.append(h("p", { class: "trouble" }, "This is a weights file; the training of a run directory can be seen here.")); return {}; }
  const state = { version: "", offset: 0, records: [], grids: [], timer: 0, at: null, playing: false, pictures: new Map() };
  const charts = CHARTS.map(([title, names]) => new Chart(title, names)), metrics = new Map();
  const live = h("span", { class: "live", role: "status" }, "…");
  const stats = h("div", { class: "stats" });
  const where = h("output", { class: "num small soft" });
  const image = h("img", { alt: "", class: Math.min(run.height || 64, run.width || 64) < 48 ? "coarse" : "" });
  const slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Time of the samples", oninput: () => { stop(); at(Number(slider.value)); } });
  const play = h("button", { type: "button", onclick: () => (state.playing ? stop() : start()) }, "▶ Play");
  const overTime = h("section", { class: "card over-time", "aria-label": "The same samples over time", hidden: true }, h("div", { class: "row spread" }, h("h2", {}, "The same samples over time"), where), image, h("div", { class: "row", style: { "flex-wrap": "nowrap" } }, play, slider));
  const curves = h("div", { class: "charts" }, charts.map((chart) => chart.element));
  const health = h("section", { class: "card", "aria-label": "Health" });
  const scores = h("section", { class: "card", "aria-label": "Scores", hidden: true });
  panel.append(
    h("section", { class: "card", "aria-label": "How far it is" }, h("div", { class: "row spread" }, h("h2", {}, "Training"), live), stats),
    h("div", { class: "columns aside" },
      h("section", { class: "card", "aria-label": "Curves" }, h("h2", {}, "Curves"), curves),
      h("div", { class: "stack", style: { gap: "18px" } }, overTime, health, scores)));

  async function look() {
    clearTimeout(state.timer);
    let again = SECONDS;
    try {
      const query = new URLSearchParams({ version: state.version, offset: state.offset });
      const log = await json(`/api/runs/${run.run}/log?${query}`);
      // Another version, or less than there was: the training has gone back, and this is all of it.
      const anew = log.version !== state.version || log.offset < state.offset;
      if (anew) { state.records = []; dropPictures(); }
      const isNew = anew || log.records.length || !state.at;
      Object.assign(state, { version: log.version, offset: log.offset });
      state.records.push(...log.records);
      if (log.more) again = 0; else if (isNew) curvesNow();
      gridsNow(log.grids, anew);
      tell(log);
    } catch (error) { app.wrong(error); again = 5; }
    if (!panel.closest("[hidden]") && panel.isConnected) state.timer = setTimeout(look, again * 1000);
  }

  function curvesNow() {
    for (const key of new Set(state.records.flatMap((one) => Object.keys(one)))) {
      if (KNOWN.has(key) || metrics.has(key) || metrics.size >= 12) continue;
      const chart = new Chart(key, { [key]: key });
      metrics.set(key, chart);
      curves.append(chart.element);
    }
    for (const chart of [...charts, ...metrics.values()]) chart.update(state.records);
    const last = state.records.at(-1);
    if (!last) { stats.replaceChildren(h("p", { class: "soft" }, "No log line yet.")); return; }
    const seconds = Math.round(last.seconds ?? 0), clock = `${Math.floor(seconds / 3600) ? `${Math.floor(seconds / 3600)} h ` : ""}${Math.floor(seconds / 60) % 60} min ${seconds % 60} s`;
    const facts = { "images seen": number(last.images ?? 0), steps: number(last.step), "of training": clock, "images a second": number(Math.round(last.images_per_second ?? 0)) };
    if ("d_real" in last) facts["D(x)"] = last.d_real.toFixed(3);
    if ("d_fake" in last) facts["D(G(z))"] = last.d_fake.toFixed(3);
    stats.replaceChildren(...Object.entries(facts).map(([name, value]) => h("div", { class: "stat" }, h("b", { class: "num" }, value), h("span", {}, name))));
  }

  function tell(log) {
    const fresh = log.age !== null && log.age < FRESH;
    const text = log.age === null ? "not begun" : fresh ? "live" : "at rest";
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("on", fresh);
    const key = JSON.stringify([log.health, log.values]);
    if (state.told === key) return;
    state.told = key;
    health.replaceChildren(h("h2", {}, "Health"), log.health.length
      ? h("ul", { class: "events" }, log.health.slice().reverse().map((event) => h("li", {}, h("h3", {}, `${event.symptom} · ${event.action}`), h("p", { class: "small soft" }, `step ${number(event.step)}: ${event.evidence}`), event.advice ? h("p", { class: "small" }, event.advice) : null)))
      : h("p", { class: "soft" }, "Nothing was found wrong."));
    scores.hidden = !log.values.length;
    const head = ["metric", "value", "95 %", "floor"].map((text, i) => h("th", { scope: "col", class: i ? "num" : "" }, text));
    scores.replaceChildren(h("h2", {}, "Scores"), h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table of scores" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, log.values.map((one) => h("tr", {}, h("td", { title: `${one.extractor}, ${number(one.samples)} samples` }, one.metric), h("td", { class: "num" }, number(one.value)), h("td", { class: "num soft" }, one.low === null ? "" : `${number(one.low)} to ${number(one.high)}`), h("td", { class: "num soft" }, one.floor === null ? "" : number(one.floor))))))));
  }

  function dropPictures() {
    for (const url of state.pictures.values()) URL.revokeObjectURL(url);
    state.pictures = new Map();
  }

  function gridsNow(grids, anew) {
    const atEnd = state.at === null || state.at === state.grids.length - 1;
    if (!anew && state.at !== null && String(grids) === String(state.grids)) return;
    state.grids = grids;
    overTime.hidden = !grids.length;
    slider.max = Math.max(0, grids.length - 1);
    if (grids.length) at(atEnd ? grids.length - 1 : Math.min(state.at, grids.length - 1)); else stop();
  }

  async function at(place) {
    state.at = place;
    slider.value = place;
    const images = state.grids[place], text = `after ${number(images)} images`;
    where.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    try {
      const { pictures } = state;
      if (!pictures.has(images)) {
        pictures.set(images, URL.createObjectURL(await blob(`/api/runs/${run.run}/grid.png?images=${images}`)));
        if (pictures.size > 300) { const [oldest, url] = pictures.entries().next().value; URL.revokeObjectURL(url); pictures.delete(oldest); }
      }
      if (state.at === place) { image.src = pictures.get(images); image.alt = `Samples ${text}`; }
    } catch (error) { app.wrong(error); }
  }

  async function turn() {
    if (!state.playing) return;
    await at((state.at + 1) % state.grids.length);
    setTimeout(turn, Math.max(60, Math.min(300, 8000 / state.grids.length)));
  }
  function start() { state.playing = true; play.textContent = "❚❚ Pause"; turn(); }
  function stop() { state.playing = false; play.textContent = "▶ Play"; }

  return { show: look, hide() { clearTimeout(state.timer); stop(); } };
}
