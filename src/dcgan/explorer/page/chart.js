// Line charts as SVG, in the colours of the page; the pointer reads values off.
import { h, number } from "./dom.js";

const WIDTH = 460, HEIGHT = 190, LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 24;
const POINTS = 500;
const s = (tag, attributes, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

/** Round steps that cover low … high. */
export function ticks(low, high, most = 5) {
  const rough = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.min(last - first + 1, 3 * most) }, (_, i) => (first + i) * step);
}

/** At most POINTS means of neighbours, so that a long training is as quick to show as a short one. */
export function thinned(points) {
  const each = Math.ceil(points.length / POINTS);
  if (each <= 1) return points;
  const means = [];
  for (let i = 0; i < points.length; i += each) {
    const part = points.slice(i, i + each);
    means.push([part.at(-1)[0], part.reduce((sum, [, y]) => sum + y, 0) / part.length]);
  }
  return means;
}

/** Low and high of what matters: a few wild values at the beginning do not flatten all the rest. */
export function extent(values) {
  const sorted = [...values].sort((a, b) => a - b), at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  let [low, high] = sorted.length > 40 ? [at(0.01), at(0.99)] : [sorted[0], sorted.at(-1)];
  if (low === high) return low < 0 ? [1.2 * low, 0] : [0, 1.2 * high || 1];
  const room = (high - low) * 0.06;
  if (low >= 0 && low < (high - low) * 0.6) low = 0; else low -= room;
  return [low, high + room];
}

export class Chart {
  /** names: metric → words. */
  constructor(title, names) {
    this.names = Object.entries(names);
    this.svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
    this.title = title;
    this.legend = h("div", { class: "legend" });
    this.element = h("figure", { class: "chart", hidden: true }, h("h3", {}, title), this.svg, this.legend);
    this.svg.addEventListener("pointermove", (event) => this.read(event));
    this.svg.addEventListener("pointerleave", () => this.show());
  }

  /** Draw these log lines; hidden while there is nothing to draw. */
  update(records) {
    this.lines = this.names.map(([key, name], i) => ({ name, colour: `c${1 + (i % 4)}`, points: thinned(records.filter((one) => key in one).map((one) => [one.images ?? one.step, one[key]])) })).filter((line) => line.points.length);
    this.element.hidden = !this.lines.length;
    this.show();
  }

  show() {
    if (!this.lines?.length) return;
    const xs = this.lines.flatMap((line) => line.points.map(([x]) => x));
    const right = Math.max(...xs), left = Math.min(0, ...xs);
    const [low, high] = extent(this.lines.flatMap((line) => line.points.map(([, y]) => y)));
    this.x = (value) => LEFT + ((value - left) / (right - left || 1)) * (WIDTH - LEFT - RIGHT);
    this.y = (value) => TOP + (1 - (Math.max(low, Math.min(high, value)) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const parts = ticks(low, high, 4).flatMap((tick) => [
      s("line", { class: "grid-line", x1: LEFT, x2: WIDTH - RIGHT, y1: this.y(tick), y2: this.y(tick) }),
      s("text", { x: LEFT - 6, y: this.y(tick) + 4, "text-anchor": "end" }, short(tick)),
    ]);
    for (const tick of ticks(left, right, 4)) parts.push(s("text", { x: this.x(tick), y: HEIGHT - 6, "text-anchor": tick === left ? "start" : tick > 0.95 * right ? "end" : "middle" }, short(tick)));
    for (const line of this.lines) parts.push(s("path", { class: line.colour, d: line.points.map(([x, y], i) => `${i ? "L" : "M"}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`).join("") }));
    this.svg.replaceChildren(...parts);
    const last = this.lines.map((line) => [line, line.points.at(-1)[1]]);
    this.tell(last);
    this.svg.setAttribute("aria-label", `${this.title}, at ${number(right)} images: ${last.map(([line, y]) => `${line.name} ${number(y)}`).join(", ")}`);
  }

  tell(values, where = "") {
    this.legend.replaceChildren(...values.map(([line, y]) => h("span", {}, h("i", { class: line.colour }), `${line.name} `, h("b", { class: "num" }, number(y)))), where ? h("span", { class: "num" }, where) : "");
  }

  read(event) {
    const frame = this.svg.getBoundingClientRect(), at = ((event.clientX - frame.left) / frame.width) * WIDTH;
    const nearest = (line) => line.points.reduce((best, point) => (Math.abs(this.x(point[0]) - at) < Math.abs(this.x(best[0]) - at) ? point : best));
    const found = this.lines.map((line) => [line, nearest(line)]);
    this.svg.querySelector(".cursor")?.remove();
    const x = this.x(found[0][1][0]);
    this.svg.append(s("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
    this.tell(found.map(([line, [, y]]) => [line, y]), `at ${number(found[0][1][0])} images`);
  }
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  if (size >= 1e3) return `${Number((value / 1e3).toPrecision(3))} k`;
  return String(Number(value.toPrecision(3)));
}
