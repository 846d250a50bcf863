"""Time to quality on MNIST: how soon `dcgan train mnist` draws as well as the blog post's script after 20 minutes.

    python benchmarks/time_to_quality.py --script blog-post.md --mnist data/mnist [--folder FOLDER] [--json FILE]

Runs the script itself for `--post-minutes`, keeping its generator at some times on the way, then `dcgan.train`
for T / 120 with `--seeds` seeds, and once for `--minutes`. What is compared is the distance of `quality.py`.
Times are those of training: neither start-up nor our measuring counts, for either. Each part is kept in the
folder and not run again, so a run that was interrupted goes on. The machine should do nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from post import Enough, run_script
from quality import Judge, mnist

import dcgan
from dcgan.files import read_tensors, write_tensors
from dcgan.images import to_array

DRAWN, SHARE = 10_000, 120


def post_marks(script: Path, folder: Path, out: Path, minutes: float) -> list[float]:
    """Run the script, keeping its generator's drawings after these seconds of training."""
    marks = [60.0 * m for m in (1, 2, 5, 10, 15, 20, 30, 60) if m < minutes] + [60 * minutes]
    if all((out / f"post-{mark:.0f}.safetensors").exists() for mark in marks):
        return marks
    left, began, aside, batches = list(marks), 0.0, 0.0, 0

    def after_batch(names: dict[str, Any]) -> None:
        nonlocal began, aside, batches
        now, batches = time.perf_counter(), batches + 1
        began = began or now  # the first batch warms up
        if now - began - aside < left[0]:
            return
        drawn = {"images": torch.from_numpy(post_images(names["generator"]))}
        write_tensors(out / f"post-{left[0]:.0f}.safetensors", drawn, {"batches": str(batches)})
        print(f"post's script: {left.pop(0):.0f} s, {batches:,} batches", flush=True)
        if not left:
            raise Enough
        aside += time.perf_counter() - now

    torch.manual_seed(0)
    np.random.seed(0)
    run_script(script, folder, after_batch)
    return marks


@torch.no_grad()
def post_images(generator: torch.nn.Module) -> np.ndarray:
    """Drawings as the script makes them: in batches of 64 with the batch's own statistics."""
    buffers = {name: tensor.clone() for name, tensor in generator.named_buffers()}
    noise = torch.Generator().manual_seed(1)
    device = next(generator.parameters()).device
    drawn = [generator(torch.randn(64, 100, generator=noise).to(device)).cpu() for _ in range(-(-DRAWN // 64))]
    for name, tensor in generator.named_buffers():
        tensor.copy_(buffers[name])
    return to_array(torch.cat(drawn)[:DRAWN])


def ours(folder: Path, out: Path, seconds: float, seed: int, options: dict[str, Any]) -> np.ndarray:
    """Drawings of `dcgan train mnist` after so long."""
    path = out / f"ours-{seconds:g}-{seed}"
    if not (path / "generator.safetensors").exists():
        dcgan.train(folder, minutes=seconds / 60, seed=seed, out=path, quiet=True, **options)
    return dcgan.Generator.from_pretrained(path).sample(DRAWN, seed=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", type=Path, required=True, help="the post (Markdown) or its script")
    parser.add_argument("--mnist", type=Path, required=True, help="the folder of MNIST's four .gz files")
    parser.add_argument("--folder", type=Path, default=Path("runs/time_to_quality"))
    parser.add_argument("--post-minutes", type=float, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10, help="of the one long training; 0: none")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of our training")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    out = options.folder.resolve()
    out.mkdir(parents=True, exist_ok=True)
    folder = options.mnist.resolve()
    settings = dict(pair.split("=", 1) for pair in options.set)

    judge = Judge(folder, out / "classifier.safetensors")
    train_images = mnist(folder, "train")[0]
    floor = judge.distance(train_images[:: len(train_images) // DRAWN][:DRAWN])
    print(f"classifier: {judge.accuracy:.2%} of the test images right; real training images: {floor:.3f}")
    rows: list[dict[str, Any]] = []

    def report(what: str, seconds: float, distances: list[float]) -> None:
        rows.append({"what": what, "seconds": seconds, "distances": distances})
        each = ", ".join(f"{d:.2f}" for d in distances)
        print(f"{what:<16} {seconds:>7.0f} s   {statistics.median(distances):>7.2f}   ({each})", flush=True)

    for mark in post_marks(options.script.resolve(), folder, out, options.post_minutes):
        images = read_tensors(out / f"post-{mark:.0f}.safetensors")[0]["images"].numpy()
        report("post's script", mark, [judge.distance(images)])
    for seconds in (60 * options.post_minutes / SHARE, 60 * options.post_minutes / SHARE * 2):
        drawn = [ours(folder, out, seconds, seed, settings) for seed in range(options.seeds)]
        report("dcgan train", seconds, [judge.distance(images) for images in drawn])
    if options.minutes:
        images = ours(folder, out, 60 * options.minutes, 0, settings)
        report("dcgan train", 60 * options.minutes, [judge.distance(images)])
    if options.json:
        facts = {"accuracy": judge.accuracy, "floor": floor, "threads": torch.get_num_threads(), "rows": rows}
        options.json.write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
