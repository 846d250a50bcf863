// Runs the network beside the page, so that the page never stands still: one thread, and nothing but this folder's files.

import * as ort from "./ort/ort.js";

ort.env.wasm.numThreads = 1; // more would want headers that not every host sends

let session;

async function bytes(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer.arrayBuffer();
}

async function load(name) {
  const [model, wasm] = await Promise.all([bytes(name), ort.env.wasm.wasmBinary ?? bytes("ort/ort.wasm")]);
  ort.env.wasm.wasmBinary = wasm; // fetched by us, as not every host knows its type
  session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
}

/** z: n latents one after another; labels: n class numbers, or null. Gives the images' values and their shape. */
async function draw({ z, n, labels }) {
  const feed = { latent: new ort.Tensor("float32", z, [n, z.length / n]) };
  if (labels) feed.label = new ort.Tensor("int64", BigInt64Array.from(labels, BigInt), [n]);
  const { images } = await session.run(feed);
  return { values: images.data, shape: images.dims };
}

let last = Promise.resolve(); // one after another

self.onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      const result = data.load ? await load(data.load) : await draw(data);
      self.postMessage({ id: data.id, result });
    } catch (error) {
      self.postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  });
};
