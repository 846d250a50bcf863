// Draw: one sample large.

import { download, sheet, show } from "./pictures.js";

export class DrawView {
  hint = "Choose a sample to see it large.";

  constructor(element, guarded) {
    this.canvas = element.querySelector("canvas");
    this.caption = element.querySelector(".caption");
    element.querySelector(".one").onclick = () => {
      if (this.drawn) download(this.canvas, this.drawn);
    };
    element.querySelector(".all").onclick = () => guarded(async () => {
      const { samples } = this, numbers = Array.from({ length: this.shown() }, (_, i) => i);
      const pictures = await samples.pictures(numbers);
      download(sheet(pictures, Math.ceil(Math.sqrt(numbers.length))), `seed-${samples.seed}.png`);
    });
  }

  /** shown: how many samples the grid has now. */
  async render(state, samples, shown) {
    Object.assign(this, { state, samples, shown });
    const [picture] = await samples.pictures([state.sample]);
    if (this.samples !== samples || this.state.sample !== state.sample) return;
    show(this.canvas, picture);
    this.drawn = `seed-${samples.seed}-sample-${state.sample}.png`;
    this.caption.textContent = `${samples.nameOf(state.sample)} of seed ${samples.seed}`;
    this.canvas.setAttribute("aria-label", this.caption.textContent);
  }

  pick(state, number) {
    return { ...state, sample: number };
  }

  marks(state) {
    return new Map([[state.sample, "✓"]]);
  }
}
