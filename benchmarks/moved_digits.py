"""Digits moved by less than a pixel and turned by a little: what a generator for Table 3 may learn from.

    python benchmarks/moved_digits.py MNIST [--run RUN] [--copies 5] [--shift 0.5] [--turn 5] [--zoom 0] [--slant 0]
    python benchmarks/moved_digits.py MNIST --out FOLDER [--copies 10] [--shift …] …

The first says how good references such digits are. MNIST is the folder with the four IDX files; its first 50,000
digits, or as many drawings of RUN at a time, are moved at random, and the last 10,000 and the test digits take the
label of their nearest one: the errors of each copy, their mean and deviation, and those of all copies together.
With `--shift 0 --turn 0` nothing is moved. The second writes moved copies of all 60,000 as IDX files, beside the test
digits as they are: a data set for `dcgan train`, and as `mnist-moved` for the recipe `digits-moved` of `on_gpu.py`.
"""

from __future__ import annotations

import argparse
import math
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from dcgan.data.pack import pack
from dcgan.data.source import Split
from dcgan.data.sources import find_source
from dcgan.evaluation.nearest import Nearest
from dcgan.evaluation.neighbours import labelled_blocks
from dcgan.pretrained import Generator

HELD_OUT = 10_000
Digits = tuple[np.ndarray, np.ndarray]
"""uint8 (N, 28, 28, 1) and labels (N,)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--shift", type=float, default=0.5, help="pixels, in either direction")
    parser.add_argument("--turn", type=float, default=5.0, help="degrees")
    parser.add_argument("--zoom", type=float, default=0.0)
    parser.add_argument("--slant", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train, test = digits(options.mnist, "train"), digits(options.mnist, "test")
    move = Move(options)
    if options.out:
        write(options.out, "train", train[1], (move(train[0]) for _ in range(options.copies)), options.copies)
        write(options.out, "t10k", test[1], iter([test[0]]), 1)
        return
    first = train[0][:-HELD_OUT], train[1][:-HELD_OUT]
    references = drawings(options, len(first[0])) if options.run else [first] * options.copies
    queries, true = (np.concatenate([a[-HELD_OUT:], b]) for a, b in zip(train, test, strict=True))
    judge(((move(images), labels) for images, labels in references), queries, true)


def digits(folder: Path, split: Split) -> Digits:
    packed = pack(find_source(folder, split=split), (28, 28), 1)
    return np.asarray(packed.images), np.asarray(packed.labels)


def drawings(options: argparse.Namespace, count: int) -> Iterator[Digits]:
    """Drawings of the run, so many at a time, as the numbers of a seed come."""
    blocks = labelled_blocks(Generator.from_pretrained(options.run), options.copies * count, options.seed)
    parts: list[Digits] = []
    for block in blocks:
        parts.append(block)
        while sum(len(labels) for _, labels in parts) >= count:
            images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
            yield images[:count], labels[:count]
            parts = [(images[count:], labels[count:])]


class Move:
    """Each image by its own amounts, even over ± the largest."""

    def __init__(self, options: argparse.Namespace) -> None:
        half_a_side = 14  # which is 1 to affine_grid
        shift = options.shift / half_a_side
        self.largest = (shift, shift, math.radians(options.turn), options.zoom, options.slant)
        self.noise = torch.Generator().manual_seed(options.seed)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([self._moved(block) for block in np.array_split(images, len(images) // 1000)])

    def _moved(self, images: np.ndarray) -> np.ndarray:
        if not any(self.largest):
            return images
        x, y, angle, zoom, slant = (
            most * (2 * torch.rand(len(images), generator=self.noise) - 1) for most in self.largest
        )
        cos, sin, size = angle.cos(), angle.sin(), 1 + zoom
        rows = [size * cos, size * (slant * cos - sin), x, size * sin, size * (slant * sin + cos), y]
        shape = [len(images), 1, *images.shape[1:3]]
        places = functional.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), shape, align_corners=False)
        levels = torch.tensor(images).movedim(3, 1).float()
        return functional.grid_sample(levels, places, align_corners=False).round_().byte().movedim(1, 3).numpy()


def judge(copies: Iterable[Digits], queries: np.ndarray, true: np.ndarray) -> None:
    together, found = Nearest(queries), []
    for images, labels in copies:
        alone = Nearest(queries)
        for start in range(0, len(images), 5000):
            for search in (alone, together):
                search.add(images[start : start + 5000], labels[start : start + 5000])
        found.append(errors(alone, true))
        print(f"{len(images):,} references: {told(found[-1])}", flush=True)
    if len(found) > 1:
        mean, deviation = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
        print(f"mean: {told(mean)}; deviation: {told(deviation)}")
        print(f"{together.seen:,} together: {told(errors(together, true))}")


def errors(search: Nearest, true: np.ndarray) -> np.ndarray:
    """Of the held-out and of the test digits, in per cent."""
    wrong = search.tags[:, 0] != true
    return 100 * np.array([wrong[:HELD_OUT].mean(), wrong[HELD_OUT:].mean()])


def told(values: np.ndarray) -> str:
    return f"held out {values[0]:.2f} %, test {values[1]:.2f} %"


def write(folder: Path, split: str, labels: np.ndarray, sets: Iterator[np.ndarray], number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{split}-images-idx3-ubyte").open("wb") as file:
        file.write(struct.pack(">IIII", 0x803, number * len(labels), 28, 28))
        for images in sets:
            file.write(images.tobytes())
    with (folder / f"{split}-labels-idx1-ubyte").open("wb") as file:
        file.write(struct.pack(">II", 0x801, number * len(labels)))
        file.write(np.tile(labels.astype(np.uint8), number).tobytes())


if __name__ == "__main__":
    main()
