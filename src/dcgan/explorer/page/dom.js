// Elements in one call, and small things that every tab needs.

/** An element: h("button", {class: "main", onclick: f}, "Go"). Children that are null or false are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name in element && !["list", "form", "role"].includes(name) && !name.includes("-")) element[name === "class" ? "className" : name] = value;
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let names = 0;
/** A labelled control: the label is tied to it. */
export function field(label, control, output = null) {
  control.id ||= `field-${++names}`;
  return h("div", { class: "field" }, h("label", { htmlFor: control.id }, label, output ? " " : null, output), control);
}

/** One of a few choices, side by side; onchange(value). */
export function segmented(legend, choices, value, onchange) {
  const name = `choice-${++names}`;
  return h("div", { class: "field" },
    h("span", { class: "label", id: name }, legend),
    h("div", { class: "segmented", role: "radiogroup", "aria-labelledby": name }, Object.entries(choices).map(([key, text]) =>
      h("label", {}, h("input", { type: "radio", name: `${name}-of`, value: key, checked: key === value, onchange: () => onchange(key) }), text))));
}

/** One of many [key, text]. */
export function select(options, value, onchange) {
  return h("select", { onchange: (event) => onchange(event.target.value) },
    options.map(([key, text]) => h("option", { value: key, selected: String(key) === String(value) }, text)));
}

/** f, not before so many milliseconds have passed without another call. */
export function later(f, milliseconds = 120) {
  let timer = 0;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => f(...values), milliseconds); };
}

/** Runs the newest of the calls only: while one is under way, all but the last of those that follow are dropped. */
export function newest(f) {
  let busy = false, waiting = null;
  return async function run(...values) {
    if (busy) { waiting = values; return; }
    busy = true;
    try { await f(...values); } finally {
      busy = false;
      if (waiting) { const next = waiting; waiting = null; run(...next); }
    }
  };
}

export function download(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name.replaceAll("/", "-") });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** 12345678 → "12,345,678"; 0.12345 → "0.1235". */
export function number(value) {
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  return size >= 1000 ? Math.round(value).toLocaleString("en-US") : size >= 0.001 || size === 0 ? String(Number(value.toPrecision(4))) : value.toExponential(1);
}
