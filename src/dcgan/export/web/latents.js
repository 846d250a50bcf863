// The z of image i of a seed: the very numbers that `dcgan sample` draws, so that a link shows what the command does.
// Counter-based random bits (Philox 4x64-10, Salmon et al. 2011) and normals by the ziggurat (Marsaglia and Tsang 2000),
// both as numpy has them.

export const BLOCK = 64; // latents are drawn in whole blocks of so many

const MASK = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const KEY_STEPS = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];

/** Four random 64-bit numbers of a key and a counter. */
function philox(key, counter) {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const one = c0 * MULTIPLIERS[0], other = c2 * MULTIPLIERS[1];
    [c0, c1, c2, c3] = [(other >> 64n) ^ c1 ^ k0, other & MASK, (one >> 64n) ^ c3 ^ k1, one & MASK];
    k0 = (k0 + KEY_STEPS[0]) & MASK;
    k1 = (k1 + KEY_STEPS[1]) & MASK;
  }
  return [c0, c1, c2, c3];
}

/** A function that gives the next 64 bits of a block of a seed, a BigInt, at each call. */
function stream(seed, block) {
  let buffer = [], drawn = 0n;
  return () => {
    if (!buffer.length) buffer = philox([seed, 0n], [++drawn, 0n, 0n, BigInt(block)]).reverse();
    return buffer.pop();
  };
}

const unit = (bits) => Number(bits >> 11n) * 2 ** -53; // [0, 1)

const EDGE = 3.6541528853610088, AREA = 0.004928673233974652; // where the tail begins, and each layer's area
const WIDTH = 2 ** 52;

/** The ziggurat's 256 layers: scale from bits to x, bits surely inside, and density at the layer's edge. */
const LAYERS = (() => {
  const scale = new Float64Array(256), inside = new Float64Array(256), density = new Float64Array(256);
  const f = (x) => Math.exp(-0.5 * x * x);
  let x = EDGE, before = EDGE;
  const base = AREA / f(EDGE);
  inside[0] = (EDGE / base) * WIDTH;
  scale[0] = base / WIDTH;
  scale[255] = EDGE / WIDTH;
  density[0] = 1;
  density[255] = f(EDGE);
  for (let i = 254; i >= 1; i--) {
    x = Math.sqrt(-2 * Math.log(AREA / x + f(x)));
    inside[i + 1] = (x / before) * WIDTH;
    before = x;
    density[i] = f(x);
    scale[i] = x / WIDTH;
  }
  return { scale, inside, density };
})();

function normal(next) {
  for (;;) {
    const bits = next();
    const layer = Number(bits & 0xffn), negative = (bits >> 8n) & 1n, rest = (bits >> 9n) & 0xfffffffffffffn;
    const magnitude = Number(rest), x = magnitude * LAYERS.scale[layer];
    if (magnitude < LAYERS.inside[layer]) return negative ? -x : x;
    if (layer === 0) return tail(next, (rest >> 8n) & 1n);
    const [above, below] = [LAYERS.density[layer - 1], LAYERS.density[layer]];
    if ((above - below) * unit(next()) + below < Math.exp(-0.5 * x * x)) return negative ? -x : x;
  }
}

function tail(next, negative) {
  for (;;) {
    const x = -Math.log1p(-unit(next())) / EDGE, y = -Math.log1p(-unit(next()));
    if (y + y > x * x) return negative ? -(EDGE + x) : EDGE + x;
  }
}

/** Block `block` of a seed (BigInt): BLOCK arrays of `dim` float32s. */
export function latentBlock(seed, block, dim, distribution) {
  const next = stream(seed, block);
  const one = distribution === "uniform" ? () => -1 + 2 * unit(next()) : () => normal(next);
  return Array.from({ length: BLOCK }, () => Float32Array.from({ length: dim }, one));
}
