// What the page shows, as the part of its address after the #: a link shows the same again.

export const CONCEPTS = ["a", "b", "c"];
export const VIEWS = ["draw", "walk", "arithmetic"];
export const MOST_STOPS = 9;
const MOST_SAMPLES = 9; // of a concept
const MOST_NUMBER = 99_999;

/** The state that an address asks for; what makes no sense in it is left out. `classes`: how many there are. */
export function parse(hash, classes) {
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  const number = (name, most, otherwise) => {
    const text = asked.get(name) ?? "";
    return /^\d{1,9}$/.test(text) && Number(text) <= most ? Number(text) : otherwise;
  };
  const numbers = (name, most, otherwise) => {
    if (!asked.has(name)) return otherwise;
    const found = asked.get(name).split(",").filter((text) => /^\d{1,5}$/.test(text)).map(Number);
    return [...new Set(found)].slice(0, most);
  };
  const typical = Number(asked.get("typical"));
  return {
    seed: seedOf(asked.get("seed")) ?? "0",
    view: VIEWS.includes(asked.get("view")) ? asked.get("view") : "draw",
    label: classes ? number("class", classes - 1, null) : null,
    truncation: typical > 0 && typical <= 10 ? typical : 0,
    sample: number("sample", MOST_NUMBER, 0),
    walk: numbers("walk", MOST_STOPS, [0, 1, 2, 3]),
    how: asked.get("path") === "linear" ? "linear" : "spherical",
    a: numbers("a", MOST_SAMPLES, [0]),
    b: numbers("b", MOST_SAMPLES, [1]),
    c: numbers("c", MOST_SAMPLES, [2]),
  };
}

/** The address of a state: what is as it would be anyway is left out. */
export function format(state) {
  const usual = parse("", 0), parts = [`seed=${state.seed}`];
  if (state.view !== usual.view) parts.push(`view=${state.view}`);
  if (state.label !== null) parts.push(`class=${state.label}`);
  if (state.truncation) parts.push(`typical=${state.truncation}`);
  if (state.sample !== usual.sample) parts.push(`sample=${state.sample}`);
  if (state.how !== usual.how) parts.push(`path=${state.how}`);
  for (const name of ["walk", ...CONCEPTS]) {
    if (String(state[name]) !== String(usual[name])) parts.push(`${name}=${state[name]}`);
  }
  return "#" + parts.join("&");
}

/** A seed from 0 to 2^63 - 1 as dcgan takes it, written without leading zeros; null if the text is none. */
export function seedOf(text) {
  if (!/^\d{1,19}$/.test((text ?? "").trim())) return null;
  const seed = BigInt(text.trim());
  return seed < 1n << 63n ? String(seed) : null;
}

/** A list with a number put in, or taken out if it was in; as it was if it would be longer than `most`. */
export function toggled(list, number, most = MOST_SAMPLES) {
  if (list.includes(number)) return list.filter((one) => one !== number);
  return list.length < most ? [...list, number] : list;
}
