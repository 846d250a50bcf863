// Everything the page asks of its server. Pictures come as one sprite, which is cut up here.

/** The answer to a request; waits when it is told to, and throws what the server says is wrong. */
export async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  for (let tries = 0; ; tries++) {
    let answer;
    try { answer = await fetch(path, options); } catch { throw new Error("The server does not answer. Is dcgan explore still running?"); }
    if (answer.ok) return answer;
    if (answer.status === 429 && tries < 4) {
      await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("Retry-After") || 1)));
      continue;
    }
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.detail || `The server says ${answer.status}.`);
  }
}

export async function json(path, body) { return (await ask(path, body)).json(); }
export async function blob(path, body) { return (await ask(path, body)).blob(); }

/** Images in one bitmap, row by row. */
export class Sheet {
  constructor(bitmap, columns, width, height) { Object.assign(this, { bitmap, columns, width, height }); }

  /** Draw image number i onto a canvas of its size. */
  paint(canvas, i) {
    if (canvas.width !== this.width || canvas.height !== this.height) { canvas.width = this.width; canvas.height = this.height; }
    const x = (i % this.columns) * this.width, y = Math.floor(i / this.columns) * this.height;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    context.drawImage(this.bitmap, x, y, this.width, this.height, 0, 0, this.width, this.height);
  }
}

/** A sheet of so many images of a run. */
export async function sheet(run, path, count, { body, columns = Math.ceil(Math.sqrt(count)) } = {}) {
  return cut(await blob(`/api/runs/${run.run}/${path}`, body), run, count, columns);
}

/** A sprite of so many images of a run; another size is that of another run in its place, which the page is told of. */
export async function cut(content, run, count, columns) {
  const bitmap = await createImageBitmap(content);
  if (bitmap.width !== columns * run.width || bitmap.height !== Math.ceil(count / columns) * run.height) {
    document.dispatchEvent(new Event("replaced"));
    throw new Error("There is another run in this place now; it is shown anew.");
  }
  return new Sheet(bitmap, columns, run.width, run.height);
}

/** Samples that follow each other, as a sheet. */
export function samples(run, { seed = 0, start = 0, count, label = null, truncation = null, edit = null }) {
  const query = new URLSearchParams({ seed, start, count });
  for (const [name, value] of Object.entries({ label, truncation, edit })) if (value !== null) query.set(name, value);
  return sheet(run, `samples.png?${query}`, count);
}

/** Samples of any seeds, as a sheet. */
export function picked(run, picks, edit = null) { return sheet(run, "picked.png", picks.length, { body: { picks, edit } }); }
