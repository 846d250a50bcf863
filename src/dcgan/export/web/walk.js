// Walk: from sample to sample through the latent space.

import { between } from "./paths.js";
import { download, sheet, show } from "./pictures.js";
import { MOST_STOPS, toggled } from "./state.js";

const STEPS = 100; // of the slider, from one sample to the next
const SECONDS = 2; // from one sample to the next
const FRAMES = 10; // a path in the picture, both ends included, as `dcgan latent walk` has it

export class WalkView {
  hint = `Choose 2 to ${MOST_STOPS} samples, in the order of the walk.`;
  #wanted = null; // the place to show next, while another is being drawn
  #drawing = false;

  constructor(element, change, guarded) {
    this.canvas = element.querySelector("canvas");
    this.caption = element.querySelector(".caption");
    this.slider = element.querySelector("input[type=range]");
    this.play = element.querySelector(".play");
    this.how = element.querySelector("select");
    this.picture = element.querySelector(".picture");
    this.slider.oninput = () => {
      this.stop();
      guarded(() => this.#show());
    };
    this.play.onclick = () => (this.playing ? this.stop() : guarded(() => this.start()));
    this.how.onchange = () => change({ ...this.state, how: this.how.value });
    element.querySelector(".clear").onclick = () => change({ ...this.state, walk: [] });
    this.picture.onclick = () => guarded(() => this.#download());
  }

  async render(state, samples) {
    Object.assign(this, { state, samples });
    this.how.value = state.how;
    const ready = state.walk.length >= 2;
    for (const control of [this.slider, this.play, this.picture]) control.disabled = !ready;
    this.slider.max = Math.max(1, (state.walk.length - 1) * STEPS);
    if (!ready) {
      this.stop();
      this.caption.textContent = this.hint;
      if (!state.walk.length) return;
    }
    await this.#show();
  }

  pick(state, number) {
    return { ...state, walk: toggled(state.walk, number, MOST_STOPS) };
  }

  marks(state) {
    return new Map(state.walk.map((number, i) => [number, String(i + 1)]));
  }

  async start() {
    if (Number(this.slider.value) >= Number(this.slider.max)) this.slider.value = 0;
    const mine = (this.playing = {}); // not another that was begun meanwhile
    this.play.textContent = "Pause";
    let before = performance.now(), place = Number(this.slider.value);
    try {
      while (place < Number(this.slider.max)) {
        const now = await new Promise(requestAnimationFrame);
        if (this.playing !== mine) return;
        place += ((now - before) / 1000 / SECONDS) * STEPS;
        before = now;
        this.slider.value = place;
        await this.#show();
      }
    } finally {
      if (this.playing === mine) this.stop();
    }
  }

  stop() {
    this.playing = null;
    this.play.textContent = "Play";
  }

  /** Latent at a place of the slider. All of a walk is of the first sample's class: halves of classes there are none. */
  #latent(place, { walk: stops, how }, samples) {
    const leg = Math.min(Math.floor(place / STEPS), Math.max(0, stops.length - 2));
    const ends = [stops[leg], stops[Math.min(leg + 1, stops.length - 1)]].map((number) => samples.latent(number));
    return between(...ends, place / STEPS - leg, how, samples.facts.latent);
  }

  /** Draw the slider's place; while one is being drawn only the newest wish is kept. */
  async #show() {
    this.#wanted = Number(this.slider.value);
    if (this.#drawing) return;
    this.#drawing = true;
    try {
      while (this.#wanted !== null) {
        const place = this.#wanted, { state, samples } = this, stops = state.walk;
        this.#wanted = null;
        if (!stops.length) break;
        const [picture] = await samples.draw([this.#latent(place, state, samples)], [samples.labelOf(stops[0])]);
        if (this.state.walk !== stops || this.samples !== samples) continue; // another has been asked for meanwhile
        show(this.canvas, picture);
        if (stops.length >= 2) this.#describe(place);
      }
    } finally {
      this.#drawing = false;
    }
  }

  #describe(place) {
    const stops = this.state.walk, leg = Math.min(Math.floor(place / STEPS), stops.length - 2);
    const share = place / STEPS - leg, ends = `sample ${stops[leg]} to ${stops[leg + 1]}`;
    this.caption.textContent = `${ends}, ${Math.round(share * 100)} %`;
    this.slider.setAttribute("aria-valuetext", this.caption.textContent);
    this.canvas.setAttribute("aria-label", this.caption.textContent);
  }

  async #download() {
    const { state, samples } = this; // there may be others before it is drawn
    const paths = state.walk.length - 1, label = samples.labelOf(state.walk[0]), frames = [];
    for (let path = 0; path < paths; path++) {
      const latents = Array.from({ length: FRAMES }, (_, i) => this.#latent((path + i / (FRAMES - 1)) * STEPS, state, samples));
      frames.push(...(await samples.draw(latents, latents.map(() => label))));
    }
    download(sheet(frames, FRAMES), `walk-of-seed-${samples.seed}.png`);
  }
}
