"""What training costs as it grows: image size, batch, micro-batch, width, and the number of images in the set.

    python benchmarks/scaling.py [--rounds 5] [--images 1000000] [--folder FOLDER] [--json FILE]

Seconds and memory of `TrainingStep` under the `fast` preset. Each row of the first table changes one setting of the
base (64×64, 3 channels, batch 64, width 32); memory is what one step needs at its peak beyond the start. The second
table trains on synthetic 64×64 grey pictures in a packed file, of which one has 10,000 and one `--images`
(4.1 GB for a million), in turn; memory there is the process's own, without pages of the file cache.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dcgan.data.batches import open_batches
from dcgan.device import prepare, resolve_device, resolve_precision
from dcgan.presets import load_preset
from dcgan.training.step import TrainingStep

BASE = {"image_size": 64, "channels": 3, "batch_size": 64, "width": 32}
CHANGES = {
    "image_size": (16, 32, 64, 128),
    "batch_size": (16, 64, 256),
    "micro_batch": (32, 16, 8),
    "width": (16, 32, 64, 128),
}


def training(images: np.ndarray, settings: dict[str, Any]) -> Callable[[], None]:
    """A function that trains one step."""
    device = resolve_device("auto")
    prepare(device)
    config = load_preset("fast").replace(**settings)
    step = TrainingStep(config, device, resolve_precision("auto", device))
    batches = open_batches(images, None, device, batch_size=config.training.batch_size, seed=0)

    def once() -> None:
        step(batches)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return once


def seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def one(settings: dict[str, int], rounds: int) -> dict[str, float]:
    """Milliseconds and megabytes of a step; called in a process of its own."""
    shape = (1024, settings["image_size"], settings["image_size"], settings["channels"])
    once = training(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), settings)
    before = own_memory()
    for _ in range(3):
        once()
    took = statistics.median(seconds(once) for _ in range(4 * rounds))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if torch.cuda.is_available():
        before, peak = 0.0, torch.cuda.max_memory_allocated() / 2**20
    return {"ms": 1e3 * took, "images_per_second": settings["batch_size"] / took, "megabytes": peak - before}


def own_memory() -> float:
    """Resident megabytes of this process, less the pages of files it has mapped (Linux)."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem")) / 1024


def synthetic(path: Path, images: int) -> np.ndarray:
    """A packed file of smooth random pictures, 64×64×1."""
    rng = np.random.default_rng(0)
    pictures = np.memmap(path, np.uint8, "w+", shape=(images, 64, 64, 1))
    for start in range(0, images, 10_000):
        coarse = rng.integers(0, 256, (min(10_000, images - start), 8, 8, 1), dtype=np.uint8)
        pictures[start : start + len(coarse)] = coarse.repeat(8, 1).repeat(8, 2)
    pictures.flush()
    return np.memmap(path, np.uint8, "r", shape=(images, 64, 64, 1))


def sets(images: int, rounds: int, folder: Path | None) -> list[dict[str, float]]:
    """The small set and the large one in turn, in this process."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        sizes = (10_000, images)
        settings = {**BASE, "channels": 1}
        steps = [training(synthetic(Path(name) / f"{n}.bin", n), settings) for n in sizes]
        times: list[list[float]] = [[], []]
        for once in steps:
            once()
        for i in range(20 * rounds):
            for which in (0, 1) if i % 2 else (1, 0):
                times[which].append(seconds(steps[which]))
        return [
            {"images": n, "ms": 1e3 * statistics.median(t), "own_megabytes": own_memory()}
            for n, t in zip(sizes, times, strict=True)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the synthetic sets lie meanwhile")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(json.loads(options.one), options.rounds)))
        return
    rows: list[dict[str, Any]] = []
    print(f"{'setting':<18} {'ms/step':>9} {'images/s':>10} {'MB':>7}")
    for name, values in CHANGES.items():
        for value in values:
            settings = {**BASE, name: value}
            command = [sys.executable, __file__, "--rounds", str(options.rounds), "--one", json.dumps(settings)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            rows.append({name: value, **row})
            print(f"{name + ' ' + str(value):<18} {row['ms']:>9.1f} {row['images_per_second']:>10,.0f}", end=" ")
            print(f"{row['megabytes']:>7,.0f}", flush=True)
    large = sets(options.images, options.rounds, options.folder)
    print(f"\n{'images in the set':<18} {'ms/step':>9} {'own MB':>10}")
    for row in large:
        print(f"{row['images']:<18,} {row['ms']:>9.1f} {row['own_megabytes']:>10,.0f}")
    if options.json:
        options.json.write_text(json.dumps({"settings": rows, "sets": large}, indent=2))


if __name__ == "__main__":
    main()
