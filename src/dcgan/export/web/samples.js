// The samples of a seed by number: latents, classes and pictures, made when first asked for.

import { BLOCK, latentBlock } from "./latents.js";
import { truncate } from "./paths.js";

export class Samples {
  #blocks = new Map();
  #pictures = new Map();

  /** facts: of model.json. label: one class for all, or null for all classes in turn. */
  constructor(model, facts, { seed, label, truncation }) {
    Object.assign(this, { model, facts, seed, label, truncation });
  }

  /** Whether another state asks for the same samples. */
  are({ seed, label, truncation }) {
    return seed === this.seed && label === this.label && truncation === this.truncation;
  }

  latent(number) {
    const block = Math.floor(number / BLOCK), { latent_dim: dim, latent: distribution } = this.facts;
    if (!this.#blocks.has(block)) {
      const latents = latentBlock(BigInt(this.seed), block, dim, distribution);
      this.#blocks.set(block, latents.map((z) => truncate(z, this.truncation, distribution)));
    }
    return this.#blocks.get(block)[number % BLOCK];
  }

  /** Class number of a sample; null without classes. */
  labelOf(number) {
    return this.facts.classes ? (this.label ?? number % this.facts.classes) : null;
  }

  /** "sample 7, class cat" */
  nameOf(number) {
    const label = this.labelOf(number);
    return `sample ${number}` + (label === null ? "" : `, class ${this.facts.class_names[label] ?? label}`);
  }

  /** Promises of the pictures of these numbers; those not there yet are drawn together. */
  pictures(numbers) {
    const missing = [...new Set(numbers)].filter((number) => !this.#pictures.has(number));
    if (missing.length) {
      const drawn = this.draw(missing.map((number) => this.latent(number)), missing.map((number) => this.labelOf(number)));
      missing.forEach((number, i) => this.#pictures.set(number, drawn.then((images) => images[i])));
      drawn.catch(() => missing.forEach((number) => this.#pictures.delete(number))); // to be tried again
    }
    return Promise.all(numbers.map((number) => this.#pictures.get(number)));
  }

  /** Pictures of any latents, and class numbers if there are classes. */
  draw(latents, labels) {
    return this.model.draw(latents, this.facts.classes ? labels : null);
  }
}
