// The frame: runs, tabs, theme, favourites, the enlarged sample, and what is said at the bottom.
import { blob, json, picked } from "./api.js";
import { download, h, newest } from "./dom.js";
import { canvasOf, keyOf, nameOf } from "./tiles.js";
import * as arithmetic from "./arithmetic.js";
import * as directions from "./directions.js";
import * as draw from "./draw.js";
import * as forget from "./forget.js";
import * as honesty from "./honesty.js";
import * as training from "./training.js";
import * as walk from "./walk.js";

const TABS = { draw: ["Draw", draw], walk: ["Walk", walk], directions: ["Directions", directions], arithmetic: ["Arithmetic", arithmetic], forget: ["Forget", forget], training: ["Training", training], honesty: ["Honesty", honesty] };
const KEPT = 200;
const $ = (id) => document.getElementById(id);

/** What is kept in this browser; a browser that keeps nothing is no trouble. */
const memory = {
  get(name, otherwise) { try { return JSON.parse(localStorage.getItem(`dcgan.${name}`)) ?? otherwise; } catch { return otherwise; } },
  set(name, value) { try { localStorage.setItem(`dcgan.${name}`, JSON.stringify(value)); } catch { /* it is only a convenience */ } },
};

const app = {
  runs: [], run: null, tab: "draw", shown: null, panels: {}, memory, wish: null,
  state: { seed: 0, label: null, truncation: null },

  set(change) { Object.assign(this.state, change); document.dispatchEvent(new Event("sampling")); },
  /** What `samples` wants, of the present settings. */
  sampling() { return { ...this.state }; },
  /** A sample by its number, with the present settings. */
  pick(number) { return { seed: this.state.seed, number, label: this.state.label, truncation: this.state.truncation }; },

  /** Another run of this name may have had other classes: its favourites wait for it. */
  ours(pick) { return pick.label == null || this.run.class_names.includes(pick.label); },
  kept() { return memory.get(`favourites.${this.run.name}`, []); },
  favourites() { return this.kept().filter((one) => this.ours(one)); },
  keep(picks) {
    const all = [...this.kept().filter((one) => !this.ours(one)), ...picks];
    if (all.length > KEPT) this.say(`${KEPT} favourites are kept; the oldest is no longer one`);
    memory.set(`favourites.${this.run.name}`, all.slice(-KEPT));
    document.dispatchEvent(new Event("favourites"));
  },
  isFavourite(pick) { return this.favourites().some((one) => keyOf(one) === keyOf(pick)); },
  toggleFavourite(pick) {
    const own = this.favourites(), without = own.filter((one) => keyOf(one) !== keyOf(pick));
    this.keep(without.length < own.length ? without : [...own, pick]);
  },

  say(text, wrong = false) {
    const status = $("status");
    status.textContent = text;
    status.className = wrong ? "shown wrong" : "shown";
    clearTimeout(this.saying);
    this.saying = setTimeout(() => { status.className = wrong ? "wrong" : ""; }, wrong ? 6000 : 1800);
  },
  wrong: (error) => app.say(error.message, true),

  /** Show a tab; `wish` is what it should begin with. */
  go(name, wish = null) {
    this.wish = wish;
    if (wish && this.panels[name]) { this.panels[name].element.remove(); delete this.panels[name]; }
    location.hash = name;
    show(name);
  },
  zoom,
};

function show(name) {
  app.panels[app.tab]?.part?.hide?.();
  app.tab = Object.hasOwn(TABS, name) ? name : "draw";
  for (const tab of $("tabs").children) {
    const chosen = tab.id === `tab-${app.tab}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  for (const panel of $("main").children) panel.hidden = true;
  const element = $(`panel-${app.tab}`);
  element.hidden = false;
  if (!app.panels[app.tab]) {
    const content = h("div", { role: "none", style: { display: "contents" } });
    element.replaceChildren(content);
    const [, module] = TABS[app.tab];
    const usable = app.run.ready || app.tab === "training";
    if (!usable) content.append(h("p", { class: "trouble" }, app.run.trouble, " ", h("button", { type: "button", onclick: reload }, "Look again")));
    app.panels[app.tab] = { element: content, part: usable ? module.open(content, app) : null };
  }
  app.panels[app.tab].part?.show?.();
}

async function reload() {
  app.runs = await json("/api/runs").catch((error) => { app.wrong(error); return app.runs; });
  choose(app.run.run);
}

function choose(index) {
  app.panels[app.tab]?.part?.hide?.();
  app.run = app.runs[index] ?? app.runs[0];
  app.panels = {};
  for (const panel of $("main").children) panel.replaceChildren();
  if (!app.run.class_names.includes(app.state.label)) app.set({ label: null });
  const { run } = app, images = Number(run.trained.images);
  $("about").textContent = run.ready ? [`${run.height}×${run.width}${run.channels === 1 ? " grey" : ""}`, images ? `${images.toLocaleString("en-US")} images seen` : ""].filter(Boolean).join(" · ") : "no generator yet";
  $("about").title = run.trained.data ?? "";
  document.title = `${run.name} – dcgan explore`;
  show(app.tab);
}

/** The sample large, in a dialog; the arrow keys go to its neighbours by number. */
async function zoom(pick) {
  const dialog = $("zoom"), { run } = app, canvas = canvasOf(run);
  canvas.removeAttribute("aria-hidden");
  canvas.setAttribute("role", "img");
  const title = h("h2", { id: "zoom-title" });
  const favourite = h("button", { type: "button", onclick: () => { app.toggleFavourite(pick); mark(); } });
  const step = (by) => turn({ ...pick, number: Math.max(0, pick.number + by) });
  function mark() {
    const kept = app.isFavourite(pick);
    favourite.setAttribute("aria-pressed", kept);
    favourite.textContent = kept ? "♥ Favourite" : "♡ Favourite";
  }
  async function turn(to) {
    pick = to;
    title.textContent = nameOf(pick);
    canvas.setAttribute("aria-label", nameOf(pick));
    mark();
    try { (await picked(run, [pick])).paint(canvas, 0); } catch (error) { app.wrong(error); }
  }
  async function save() {
    try { download(await blob(`/api/runs/${run.run}/picked.png`, { picks: [pick] }), `${run.name}-${pick.seed}-${pick.number}.png`); } catch (error) { app.wrong(error); }
  }
  dialog.onkeydown = (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  };
  dialog.replaceChildren(h("div", { class: "stack" },
    h("div", { class: "row spread" }, title, h("button", { class: "quiet", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
    h("div", { class: "picture" }, canvas),
    h("div", { class: "row" },
      h("button", { type: "button", "aria-label": "Sample before", onclick: () => step(-1) }, "◀"),
      h("button", { type: "button", "aria-label": "Sample after", onclick: () => step(1) }, "▶"),
      favourite,
      h("button", { type: "button", onclick: save }, "Download PNG"),
      h("button", { type: "button", onclick: () => { dialog.close(); app.go("honesty", [pick]); } }, "Nearest real images"))));
  if (!dialog.open) dialog.showModal();
  await turn(pick);
}

function theme() {
  const apply = (name) => { if (name) document.documentElement.dataset.theme = name; else delete document.documentElement.dataset.theme; };
  apply(memory.get("theme", null));
  $("theme").onclick = () => {
    const dark = document.documentElement.dataset.theme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    memory.set("theme", dark ? "light" : "dark");
    apply(dark ? "light" : "dark");
  };
}

async function begin() {
  theme();
  app.runs = await json("/api/runs");
  $("run").append(...app.runs.map((run) => h("option", { value: run.run }, run.name)));
  $("run").onchange = () => choose(Number($("run").value));
  const names = Object.keys(TABS);
  $("tabs").append(...names.map((name) => h("button", { role: "tab", type: "button", id: `tab-${name}`, "aria-controls": `panel-${name}`, onclick: () => app.go(name) }, TABS[name][0])));
  $("main").append(...names.map((name) => h("section", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true })));
  $("tabs").onkeydown = (event) => {
    const at = names.indexOf(app.tab), last = names.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    app.go(names[to]);
    $(`tab-${names[to]}`).focus();
  };
  document.addEventListener("replaced", newest(() => { $("zoom").close(); return reload(); }));
  addEventListener("hashchange", () => { if (location.hash.slice(1) !== app.tab) show(location.hash.slice(1)); });
  app.tab = Object.hasOwn(TABS, location.hash.slice(1)) ? location.hash.slice(1) : "draw";
  choose(0);
}

begin().catch((error) => { $("main").append(h("p", { class: "trouble", role: "alert" }, error.message)); });
