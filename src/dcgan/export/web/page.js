// The page: one state, from its address; three views of it; and the grid of samples that all of them choose from.

import { ArithmeticView } from "./arithmetic.js";
import { DrawView } from "./draw.js";
import { Model } from "./model.js";
import { show } from "./pictures.js";
import { Samples } from "./samples.js";
import { format, parse, seedOf, VIEWS } from "./state.js";
import { WalkView } from "./walk.js";

const FIRST = 28, MORE = 28, AT_ONCE = 7; // samples: whole rows on wide and narrow windows
const find = (selector) => document.querySelector(selector);
const status = find("#status");

let facts, model, samples, state, views, failed, shown = FIRST;

/** Say how it stands. */
function tell(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

/** Run something of the page; if it fails, say so in the page, until the next is tried. */
async function guarded(work) {
  if (status.classList.contains("wrong")) tell("");
  try {
    await work();
  } catch (error) {
    tell(`That did not work: ${error.message}`, true);
    console.error(error);
  }
}

/** Take a state over: draw what is new of it, and put it into the address. */
function change(next, replace = true) {
  return guarded(async () => {
    state = next;
    const address = format(state);
    if (address !== location.hash) history[replace ? "replaceState" : "pushState"](null, "", address);
    controls();
    const same = samples?.are(state);
    if (!same) samples = new Samples(model, facts, state);
    const view = views[state.view].render(state, samples, () => shown); // first: it is what is looked at
    const tiles = same && !failed ? null : grid();
    marks();
    await Promise.all([view, tiles]);
  });
}

/** Tabs and toolbar as the state has them. */
function controls() {
  for (const name of VIEWS) {
    const tab = find(`#tab-${name}`), chosen = name === state.view;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    find(`#panel-${name}`).hidden = !chosen;
  }
  if (state.view !== "walk") views.walk.stop();
  find("#seed").value = state.seed;
  find("#class").value = state.label ?? "";
  const typical = find("#typical"), wanted = String(state.truncation || "");
  if (![...typical.options].some((option) => option.value === wanted)) typical.add(new Option(`within ±${wanted}`, wanted));
  typical.value = wanted;
  find("#hint").textContent = views[state.view].hint;
}

/** A tile for each sample shown; tiles there are already get the new pictures. */
async function grid() {
  const place = find("#grid"), mine = samples;
  while (place.children.length < shown) {
    const tile = find("#tile").content.firstElementChild.cloneNode(true), number = place.children.length;
    tile.onclick = () => change(views[state.view].pick(state, number));
    tile.tabIndex = number ? -1 : 0;
    place.append(tile);
  }
  const began = performance.now(), tiles = [...place.children];
  failed = false;
  tell(`Drawing ${tiles.length} samples …`);
  for (let start = 0; start < tiles.length; start += AT_ONCE) {
    const numbers = tiles.slice(start, start + AT_ONCE).map((_, i) => start + i);
    const pictures = await mine.pictures(numbers).catch((error) => {
      failed ||= mine === samples; // the next change tries again
      throw error;
    });
    if (mine !== samples) return; // others have been asked for meanwhile
    pictures.forEach((picture, i) => show(tiles[start + i].querySelector("canvas"), picture));
  }
  tell(`${tiles.length} samples, ${((performance.now() - began) / 1000).toFixed(2)} s in this browser`);
}

/** What the view has chosen, on the tiles. */
function marks() {
  const chosen = views[state.view].marks(state);
  [...find("#grid").children].forEach((tile, number) => {
    const mark = chosen.get(number) ?? "";
    tile.setAttribute("aria-pressed", String(Boolean(mark)));
    tile.setAttribute("aria-label", samples.nameOf(number) + (mark && mark !== "✓" ? `, chosen as ${mark}` : ""));
    tile.querySelector(".mark").textContent = mark;
  });
}

/** Arrow keys within a group of which one element is in the order of Tab. */
function arrows(group, step, then = () => {}) {
  group.addEventListener("keydown", (event) => {
    const all = [...group.children], from = all.indexOf(event.target.closest("button"));
    const ways = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: step(), ArrowUp: -step(), Home: -from, End: all.length - 1 - from };
    if (from < 0 || !(event.key in ways)) return;
    const to = all[from + ways[event.key]];
    event.preventDefault();
    if (!to) return;
    all[from].tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
    then(to);
  });
}

function wire() {
  for (const name of VIEWS) find(`#tab-${name}`).onclick = () => change({ ...state, view: name });
  arrows(find("[role=tablist]"), () => 1, (tab) => tab.click());
  arrows(find("#grid"), () => getComputedStyle(find("#grid")).gridTemplateColumns.split(" ").length);
  find("#toolbar").onsubmit = (event) => event.preventDefault();
  find("#seed").onchange = () => {
    const seed = seedOf(find("#seed").value);
    if (seed === null) find("#seed").value = state.seed;
    else change({ ...state, seed }, false);
  };
  find("#another").onclick = () => change({ ...state, seed: String(Math.floor(Math.random() * 1e6)) }, false);
  find("#class").onchange = () => change({ ...state, label: find("#class").value ? Number(find("#class").value) : null });
  find("#typical").onchange = () => change({ ...state, truncation: Number(find("#typical").value) });
  find("#more").onclick = () => {
    shown += MORE;
    guarded(() => {
      const tiles = grid();
      marks();
      return tiles;
    });
  };
  find("#theme").onclick = () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  };
  find("#share").onclick = () => guarded(share);
  addEventListener("popstate", () => change(parse(location.hash, facts.classes)));
}

/** The address into the clipboard, where there is one; it is in the address bar in any case. */
async function share() {
  let said = "The link is in the address bar";
  try {
    await navigator.clipboard.writeText(location.href);
    said = "The link is in the clipboard";
  } catch {
    // pages without https have no clipboard
  }
  tell(said);
}

/** What model.json says, where people look for it. */
function describe() {
  const { height, width, channels, trained, licence, dcgan, classes, class_names: names } = facts;
  const colours = { 1: "grey", 3: "colour", 4: "colour and transparency" }[channels];
  find("#facts").textContent = [`${height}×${width}, ${colours}`, trained.data].filter(Boolean).join(" · ");
  find("#licence").textContent = `Weights: licence ${licence}. Made with dcgan ${dcgan}; drawn by ONNX Runtime Web ${facts.runtime}.`;
  find("#class-field").hidden = !classes;
  for (let label = 0; label < classes; label++) find("#class").add(new Option(names[label] ?? label, label));
}

guarded(async () => {
  tell("Loading the network …");
  const answer = await fetch("model.json");
  if (!answer.ok) throw new Error(`model.json: ${answer.status}`);
  facts = await answer.json();
  describe();
  model = new Model();
  await model.load();
  views = {
    draw: new DrawView(find("#panel-draw"), guarded),
    walk: new WalkView(find("#panel-walk"), change, guarded),
    arithmetic: new ArithmeticView(find("#panel-arithmetic"), change),
  };
  wire();
  await change(parse(location.hash, facts.classes));
  document.documentElement.dataset.ready = "yes";
});
