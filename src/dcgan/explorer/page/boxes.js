// Boxes on a sample: dragged with a pointer, or added, moved and sized by keys.
import { h } from "./dom.js";
import { canvasOf, nameOf } from "./tiles.js";

const LEAST = 2;

export class Boxes {
  constructor(run, pick, changed) {
    Object.assign(this, { run, pick, changed, boxes: [] });
    this.canvas = canvasOf(run);
    this.field = h("div", { class: "boxed", onpointerdown: (event) => this.drag(event) }, this.canvas);
    this.element = h("figure", {}, this.field, h("figcaption", {},
      h("button", { type: "button", class: "quiet small", "aria-label": `Add a box to ${nameOf(pick)}`, onclick: () => {
        const { height, width } = run;
        this.add({ top: Math.round(height * 0.55), left: Math.round(width * 0.25), height: Math.round(height * 0.25), width: Math.round(width * 0.5) }).focus();
      } }, "+ box")));
  }

  /** A pointer's place in pixels of the image. */
  at(event) {
    const frame = this.field.getBoundingClientRect();
    const inside = (share, length) => Math.max(0, Math.min(length, Math.round(share * length)));
    return [inside((event.clientY - frame.top) / frame.height, this.run.height), inside((event.clientX - frame.left) / frame.width, this.run.width)];
  }

  drag(event) {
    if (event.button || event.target.classList.contains("box")) return;
    event.preventDefault();
    const [top, left] = this.at(event);
    let box = null, element = null;
    this.field.setPointerCapture(event.pointerId);
    this.field.onpointermove = (moved) => {
      const [y, x] = this.at(moved);
      const shape = { top: Math.min(top, y), left: Math.min(left, x), height: Math.abs(y - top), width: Math.abs(x - left) };
      if (!box && (shape.height < LEAST || shape.width < LEAST)) return;
      if (!box) { element = this.add(shape, false); box = this.boxes.at(-1); }
      Object.assign(box, shape, { height: Math.max(LEAST, shape.height), width: Math.max(LEAST, shape.width) });
      this.keep(box);
      this.place(element, box);
    };
    this.field.onpointerup = this.field.onpointercancel = () => {
      this.field.onpointermove = this.field.onpointerup = this.field.onpointercancel = null;
      if (box) this.changed();
    };
  }

  add(box, say = true) {
    this.boxes.push(box);
    const name = `Box on sample ${this.pick.number}. Arrows move it, shift and arrows size it, delete or a click removes it`;
    const element = h("button", { type: "button", class: "box", "aria-label": name, title: "Click to remove", onclick: () => this.remove(element, box), onkeydown: (event) => this.key(event, element, box) });
    this.place(element, box);
    this.field.append(element);
    if (say) this.changed();
    return element;
  }

  key(event, element, box) {
    if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); this.remove(element, box); return; }
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (!down && !right) return;
    event.preventDefault();
    if (event.shiftKey) { box.height = Math.max(LEAST, box.height + down); box.width = Math.max(LEAST, box.width + right); } else { box.top += down; box.left += right; }
    this.keep(box);
    this.place(element, box);
    this.changed();
  }

  /** Keep a box inside the image. */
  keep(box) {
    const { height, width } = this.run;
    box.height = Math.min(box.height, height);
    box.width = Math.min(box.width, width);
    box.top = Math.max(0, Math.min(box.top, height - box.height));
    box.left = Math.max(0, Math.min(box.left, width - box.width));
  }

  remove(element, box) {
    this.boxes.splice(this.boxes.indexOf(box), 1);
    element.remove();
    this.element.querySelector("figcaption button").focus();
    this.changed();
  }

  place(element, box) {
    const share = (value, of) => `${(100 * value) / of}%`;
    const { height, width } = this.run;
    Object.assign(element.style, { top: share(box.top, height), left: share(box.left, width), height: share(box.height, height), width: share(box.width, width) });
  }
}
