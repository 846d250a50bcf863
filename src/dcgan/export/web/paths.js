// Where latents lie, and ways between them; the same as dcgan's latents.py, latent/walk.py and latent/likely.py.

const ROOT2 = Math.SQRT2;

/** The error function, by a series whose terms are all positive. */
export function erf(x) {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  let term = size, sum = size;
  for (let n = 1; term > 1e-17 * sum; n++) sum += term *= (2 * size * size) / (2 * n + 1);
  return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-size * size) * sum;
}

/** Its inverse on (-1, 1): an estimate (Winitzki 2008), made exact by Halley's steps. */
export function erfinv(y) {
  if (y === 0) return 0;
  const a = 0.147, log = Math.log(1 - y * y), b = 2 / (Math.PI * a) + log / 2;
  let x = Math.sign(y) * Math.sqrt(Math.sqrt(b * b - log / a) - b);
  for (let i = 0; i < 4; i++) {
    const step = ((erf(x) - y) * Math.sqrt(Math.PI) * Math.exp(x * x)) / 2;
    x -= step / (1 + x * step);
  }
  return x;
}

/** z within ±truncation: smaller is more typical and less varied. 0: as it is. */
export function truncate(z, truncation, distribution) {
  if (!truncation) return z;
  if (distribution === "uniform") return z.map((v) => v * Math.min(truncation, 1));
  const share = erf(truncation / ROOT2);
  return z.map((v) => Math.max(-truncation, Math.min(truncation, erfinv(erf(v / ROOT2) * share) * ROOT2)));
}

/** The latent at `share` of the way from a to b: along the arc ("spherical") or the straight line ("linear"). */
export function between(a, b, share, how, distribution) {
  if (share <= 0) return a;
  if (share >= 1) return b;
  if (how === "linear") return combine(a, 1 - share, b, share);
  if (distribution !== "uniform") return arc(a, b, share);
  const toNormal = (u) => ROOT2 * erfinv(Math.max(-1 + 1e-9, Math.min(1 - 1e-9, u)));
  const [one, other] = [a, b].map((z) => Float64Array.from(z, toNormal));
  return Float32Array.from(arc(one, other, share), (v) => erf(v / ROOT2));
}

function arc(a, b, share) {
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine))), sine = Math.sin(angle);
  if (!(sine >= 1e-6)) return combine(a, 1 - share, b, share);
  return combine(a, Math.sin((1 - share) * angle) / sine, b, Math.sin(share * angle) / sine);
}

/** A mean or sum of latents as it is drawn: normal ones at the usual length of a sample, uniform ones as they are. */
export function typical(z, distribution) {
  if (distribution === "uniform") return z;
  const scale = Math.sqrt(z.length - 0.5) / Math.max(Math.sqrt(dot(z, z)), 1e-12);
  return z.map((v) => v * scale);
}

/** The mean of one or more latents. */
export function mean(latents) {
  return Float32Array.from(latents[0], (_, i) => latents.reduce((sum, z) => sum + z[i], 0) / latents.length);
}

/** x a + y b. */
export function combine(a, x, b, y) {
  return a.map((v, i) => x * v + y * b[i]);
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
