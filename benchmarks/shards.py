"""Images a second and memory of batches from shards that are streamed, beside those of the pack of the same images.

    python benchmarks/shards.py --images 20000 --side 64 --batch-size 64 --workers 1 2

Makes JPEGs of noise that is smooth (about 2.5 KB at 64×64), shards of them, and the pack, in a temporary folder; reads
--batches batches of each in turn, --rounds times, each in a process of its own. Prints medians, the peak of the
process's memory, and the rate as a share of the pack's. Files are in the page cache: this is decoding, no disk.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from dcgan.data.batches import Batches
from dcgan.data.pack import pack
from dcgan.data.shards.source import ShardSource
from dcgan.data.shards.stream import Stream
from dcgan.data.shards.write import Sharding, write_shards
from dcgan.data.sources import find_source


def make(folder: Path, images: int, side: int) -> float:
    """The album and its shards; seconds that the shards took."""
    rng = np.random.default_rng(0)
    (folder / "album").mkdir()
    for i in range(images):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / "album" / f"{i:07d}.jpg", quality=90)
    began = time.perf_counter()
    write_shards(find_source(folder / "album"), folder / "shards", Sharding(images=1000))
    return time.perf_counter() - began


def read(folder: Path, what: str, side: int, batch_size: int, batches: int) -> dict[str, float]:
    """Images a second and the peak of memory (MB) of one way, in this process."""
    source = find_source(folder / "shards")
    assert isinstance(source, ShardSource)
    if what == "pack":
        began = time.perf_counter()
        packed = pack(source, (side, side), 3, cache=folder / "cache")
        seconds = time.perf_counter() - began
        chosen = Batches(packed.images, None, batch_size, 0)
    else:
        began = time.perf_counter()
        chosen = Stream(source, (side, side, 3), batch_size, 0, workers=int(what))
        next(chosen)
        seconds = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(batches):
        next(chosen)
    rate = batches * batch_size / (time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rate": rate, "start": seconds, "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, value in (("images", 20_000), ("side", 64), ("batch-size", 64), ("batches", 200), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # folder and what: this process measures it
    options = parser.parse_args()
    if options.one:
        print(json.dumps(read(Path(options.one[0]), options.one[1], options.side, options.batch_size, options.batches)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = make(folder, options.images, options.side)
        print(
            f"{options.images:,} JPEGs of {options.side}²; shards written at {options.images / seconds:,.0f} images/s"
        )
        ways = ["pack", *map(str, options.workers)]
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way in ways:
                command = [sys.executable, *sys.argv, "--one", name, way]
                answer = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
                found[way].append(json.loads(answer.stdout))
    base = statistics.median(one["rate"] for one in found["pack"])
    for way in ways:
        rate, peak = (statistics.median(one[key] for one in found[way]) for key in ("rate", "peak"))
        label = "pack" if way == "pack" else f"stream, {way} workers"
        starts = ", ".join(f"{one['start']:.2f}" for one in found[way])
        print(
            f"{label:18} {rate:10,.0f} images/s ({rate / base:.3f})  peak {peak:,.0f} MB  first batch after {starts} s"
        )


if __name__ == "__main__":
    main()
