// The network as the page sees it: latents in, pictures out.

export class Model {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #asked = 0;

  constructor() {
    this.#worker.onmessage = ({ data }) => {
      const { resolve, reject } = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error) reject(new Error(data.error));
      else resolve(data.result);
    };
    this.#worker.onerror = (event) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(event.message || "the network could not be started"));
      this.#waiting.clear();
    };
  }

  #ask(question) {
    const id = this.#asked++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...question });
    });
  }

  /** Get a network of this folder ready, in the place of the one before. */
  load(name = "model.onnx") {
    return this.#ask({ load: name });
  }

  /** What the network gives for latents (arrays) and class numbers (or null): {values, shape}. */
  run(latents, labels = null) {
    const dim = latents[0].length, z = new Float32Array(latents.length * dim);
    latents.forEach((latent, i) => z.set(latent, i * dim));
    return this.#ask({ z, n: latents.length, labels });
  }

  /** An ImageData for each latent. The network's output is uint8 (N, H, W, C). */
  async draw(latents, labels = null) {
    const { values, shape } = await this.run(latents, labels);
    const [, height, width, channels] = shape, size = height * width * channels;
    return latents.map((_, i) => toImage(values.subarray(i * size, (i + 1) * size), width, height, channels));
  }
}

/** Pixels of 1, 3 or 4 channels as an ImageData. */
function toImage(pixels, width, height, channels) {
  const image = new ImageData(width, height), to = image.data;
  for (let i = 0, j = 0; j < to.length; i += channels, j += 4) {
    to[j] = pixels[i];
    to[j + 1] = pixels[i + (channels > 1 ? 1 : 0)];
    to[j + 2] = pixels[i + (channels > 1 ? 2 : 0)];
    to[j + 3] = channels === 4 ? pixels[i + 3] : 255;
  }
  return image;
}
