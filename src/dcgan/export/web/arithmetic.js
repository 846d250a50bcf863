// Arithmetic: A - B + C of concepts, each the mean of some samples, and the same on pixels beside it.

import { combine, mean, typical } from "./paths.js";
import { download, pixelArithmetic, sheet, show } from "./pictures.js";
import { CONCEPTS, toggled } from "./state.js";

export class ArithmeticView {
  hint = "Choose samples for A, B and C; each is the mean of its samples. Three or more are steadier than one.";

  constructor(element, change) {
    this.canvases = Object.fromEntries([...element.querySelectorAll("canvas")].map((canvas) => [canvas.id, canvas]));
    this.caption = element.querySelector(".caption");
    this.radios = [...element.querySelectorAll("input[type=radio]")];
    this.lists = Object.fromEntries(CONCEPTS.map((name) => [name, element.querySelector(`#list-${name}`)]));
    this.picture = element.querySelector(".picture");
    element.querySelector(".clear").onclick = () => change({ ...this.state, [this.active]: [] });
    this.picture.onclick = () => {
      download(sheet(this.drawn.pictures, 4), `arithmetic-of-seed-${this.drawn.seed}.png`);
    };
  }

  /** The concept that a chosen sample goes to. */
  get active() {
    return this.radios.find((radio) => radio.checked).value;
  }

  async render(state, samples) {
    Object.assign(this, { state, samples });
    for (const name of CONCEPTS) this.lists[name].textContent = state[name].join(", ") || "none";
    const ready = CONCEPTS.every((name) => state[name].length);
    this.drawn = null;
    this.picture.disabled = true;
    this.caption.textContent = ready ? "A − B + C, and below it the same done with pixels" : this.hint;
    if (!ready) return;
    const pictures = await this.#draw(state, samples);
    if (this.state !== state || this.samples !== samples) return; // another has been asked for meanwhile
    this.drawn = { seed: samples.seed, pictures };
    this.picture.disabled = false;
    const names = ["mean-a", "mean-b", "mean-c", "result", "pixels-a", "pixels-b", "pixels-c", "pixels"];
    names.forEach((name, i) => show(this.canvases[name], pictures[i]));
  }

  /** Eight pictures: what the means of A, B and C and the result draw, and below them the same of pixels. */
  async #draw(state, samples) {
    const { facts } = samples, [a, b, c] = CONCEPTS.map((name) => mean(state[name].map((n) => samples.latent(n))));
    const result = typical(combine(combine(a, 1, b, -1), 1, c, 1), facts.latent);
    const shown = [a, b, c].map((z, i) => (state[CONCEPTS[i]].length > 1 ? typical(z, facts.latent) : z));
    const labels = CONCEPTS.map((name) => samples.labelOf(state[name][0]));
    const drawn = await samples.draw([...shown, result], [...labels, labels[2]]); // the result is of C's class
    const images = await Promise.all(CONCEPTS.map((name) => samples.pictures(state[name])));
    return [...drawn, ...images.map((list) => pixelArithmetic(list)), pixelArithmetic(...images)];
  }

  pick(state, number) {
    const name = this.active;
    return { ...state, [name]: toggled(state[name], number) };
  }

  marks(state) {
    const marks = new Map();
    for (const name of CONCEPTS) {
      for (const number of state[name]) marks.set(number, (marks.get(number) ?? "") + name.toUpperCase());
    }
    return marks;
  }
}
