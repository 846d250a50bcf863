// Draw: an endless grid of samples, of one run or of two side by side; favourites; downloads.
import { blob, samples } from "./api.js";
import { download, field, h, later, select } from "./dom.js";
import { fill, keyOf, newestOf, tile } from "./tiles.js";

const OFF = 3.05;
const MOST = 5000;

export function open(panel, app) {
  const { run } = app, state = { count: app.memory.get("count", 50), size: app.memory.get("size", 84), other: null };
  const grids = h("div", {});
  const kept = h("section", { class: "card", "aria-label": "Favourites", hidden: true });
  let round = 0, start = 0, loading = false, lists = [];

  const seed = h("input", { type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, value: app.state.seed, onchange: () => {
    if (seed.value === "" || !seed.reportValidity()) return;
    app.set({ seed: Number(seed.value) });
    restart();
  } });
  const dice = h("button", { type: "button", title: "Another seed", onclick: () => {
    seed.value = Math.floor(Math.random() * 100_000);
    app.set({ seed: Number(seed.value) });
    restart();
  } }, "New seed");
  const shown = h("output", {});
  const uniform = run.latent === "uniform";
  const truncation = h("input", { type: "range", min: 0.2, max: uniform ? 1 : OFF, step: 0.05, value: app.state.truncation ?? OFF, oninput: () => { showTruncation(); restartSoon(); } });
  const showTruncation = () => {
    const value = Number(truncation.value), off = value >= Number(truncation.max);
    app.set({ truncation: off ? null : value });
    shown.textContent = off ? "off" : `±${value.toFixed(2)}`;
    truncation.setAttribute("aria-valuetext", off ? "off" : `plus or minus ${value.toFixed(2)}`);
  };
  showTruncation();
  const restartSoon = later(() => restart());
  const label = run.class_names.length ? select([["", "all in turn"], ...run.class_names.map((name) => [name, name])], app.state.label ?? "", (value) => { app.set({ label: value || null }); restart(); }) : null;
  const count = select([25, 50, 100, 200].filter((n) => n <= run.most || n === 25).map((n) => [n, n]), state.count, (value) => { state.count = Number(value); app.memory.set("count", state.count); restart(); });
  const size = h("input", { type: "range", min: 40, max: 220, step: 4, value: state.size, oninput: () => { state.size = Number(size.value); app.memory.set("size", state.size); resize(); } });
  const others = app.runs.filter((one) => one.ready && one.run !== run.run);
  const other = others.length ? select([["", "nothing"], ...others.map((one) => [one.run, one.name])], "", (value) => { state.other = value === "" ? null : app.runs[Number(value)]; restart(); }) : null;

  const more = h("button", { type: "button", onclick: () => load() }, "More");
  const sentinel = h("div", { class: "sentinel" }, more);
  const controls = h("section", { class: "card", "aria-label": "Settings" }, h("div", { class: "row end" },
    field("Seed", seed), dice,
    label && field("Class", label),
    h("div", { style: { flex: "1 1 150px", "max-width": "240px" } }, field("Truncation", truncation, shown)),
    field("Images at a time", count),
    h("div", { style: { flex: "1 1 110px", "max-width": "180px" } }, field("Size", size)),
    other && field("Compare with", other)));
  panel.append(controls, kept, grids, sentinel);

  function resize() { grids.style.setProperty("--tile", `${state.size}px`); }

  function restart() {
    round++;
    start = 0;
    loading = false;
    const runs = state.other ? [run, state.other] : [run];
    lists = runs.map((one) => ({ run: one, grid: h("div", { class: "tiles", role: "group", "aria-label": `Samples of ${one.name}` }) }));
    grids.className = runs.length > 1 ? "columns" : "";
    grids.replaceChildren(...lists.map((list) => h("section", { class: "stack" }, runs.length > 1 ? h("h2", {}, list.run.name) : null, list.grid)));
    load();
  }

  async function load() {
    if (loading) return;
    loading = true;
    const mine = round, first = start, n = Math.min(state.count, ...lists.map((list) => list.run.most));
    start += n;
    try {
      await Promise.all(lists.map(async (list) => {
        // A class or a truncation that the other run does not have is not asked of it.
        const asked = { ...app.sampling(), label: list.run.class_names.includes(app.state.label) ? app.state.label : null };
        const sheet = await samples(list.run, { ...asked, start: first, count: n });
        if (mine !== round) return;
        const own = app.favourites().map(keyOf);
        list.grid.append(...Array.from({ length: n }, (_, i) => {
          const pick = { ...asked, number: first + i };
          const one = tile(list.run, pick, { onclick: list.run === run ? app.zoom : undefined, doing: list.run === run ? "Enlarge: " : `${list.run.name}: ` });
          one.element.disabled = list.run !== run;
          one.element.dataset.key = keyOf(pick);
          if (own.includes(keyOf(pick)) && list.run === run) one.element.classList.add("chosen");
          sheet.paint(one.canvas, i);
          return one.element;
        }));
      }));
    } catch (error) {
      if (mine === round) start = first;
      app.wrong(error);
      return;
    } finally { if (mine === round) loading = false; }
    if (mine === round && start < MOST && near()) load();
  }

  const near = () => panel.isConnected && !panel.closest("[hidden]") && sentinel.getBoundingClientRect().top < innerHeight + 300;
  new IntersectionObserver(() => { if (start && start < MOST && near()) load(); }, { rootMargin: "300px" }).observe(sentinel);

  function favourites() {
    if (!panel.isConnected) { document.removeEventListener("favourites", favourites); return; }
    const own = app.favourites(), keys = own.map(keyOf), { newest, many } = newestOf(own);
    for (const element of lists[0]?.grid.children ?? []) element.classList.toggle("chosen", keys.includes(element.dataset.key));
    kept.hidden = !own.length;
    const strip = h("div", { class: "strip", tabindex: "0", role: "group", "aria-label": "Favourites" });
    kept.replaceChildren(
      h("div", { class: "row spread" }, h("h2", {}, `Favourites (${many})`),
        h("div", { class: "row" },
          h("button", { type: "button", onclick: zip }, "Download zip"),
          h("button", { type: "button", class: "quiet", onclick: () => app.keep([]) }, "Forget them"))),
      strip);
    if (own.length) fill(strip, run, newest, { doing: "Enlarge: ", onclick: app.zoom }).catch(app.wrong);
  }

  async function zip() {
    try {
      const picks = app.favourites();
      for (let i = 0; i < picks.length; i += 64) download(await blob(`/api/runs/${run.run}/picked.zip`, { picks: picks.slice(i, i + 64) }), `${run.name}-favourites${i ? `-${1 + i / 64}` : ""}.zip`);
    } catch (error) { app.wrong(error); }
  }

  document.addEventListener("favourites", favourites);
  resize();
  restart();
  favourites();
  return { show() { if (Number(seed.value) !== app.state.seed) { seed.value = app.state.seed; restart(); } } };
}
