"""Digits moved by less than a pixel, turned and slanted by a little: what a generator for Table 3 may learn from.

    python benchmarks/moved_digits.py MNIST [--out FOLDER] [--copies 10] [--shift 0.7] [--turn 7] [--zoom …] [--slant …]

Without `--out` it says how good references such digits are: of the first 50,000 digits of MNIST, the folder with the
four IDX files, so many copies are moved at random and classify the last 10,000, and the test digits, by their nearest
one. The figures are after 1, 2, 5, 10, … copies; `--copies 1 --shift 0 --turn 0 --zoom 0 --slant 0` is of digits as
they are. With `--out` the copies of all 60,000 are written there as IDX files, with the test digits as they are:
a data set for `dcgan train`, and for the recipe `digits-moved` of `on_gpu.py`, which looks for it as `mnist-moved`.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from dcgan.data.pack import pack
from dcgan.data.source import Split
from dcgan.data.sources import find_source
from dcgan.evaluation.nearest import Nearest

HELD_OUT = 10_000
MARKS = (1, 2, 5, 10, 20, 50, 100)
Digits = tuple[np.ndarray, np.ndarray]
"""uint8 (N, 28, 28, 1) and labels (N,)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--shift", type=float, default=0.7, help="pixels, in either direction")
    parser.add_argument("--turn", type=float, default=7.0, help="degrees")
    parser.add_argument("--zoom", type=float, default=0.05)
    parser.add_argument("--slant", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train, test = digits(options.mnist, "train"), digits(options.mnist, "test")
    if options.out:
        write(options.out, "train", train[1], copies(train[0], options), options.copies)
        write(options.out, "t10k", test[1], iter([test[0]]), 1)
    else:
        judge(train, test, options)


def digits(folder: Path, split: Split) -> Digits:
    packed = pack(find_source(folder, split=split), (28, 28), 1)
    return np.asarray(packed.images), np.asarray(packed.labels)


def copies(images: np.ndarray, options: argparse.Namespace) -> Iterator[np.ndarray]:
    """As many sets of moved images as were asked for, each another."""
    noise = torch.Generator().manual_seed(options.seed)
    amounts = options.shift / 14, options.shift / 14, np.radians(options.turn), options.zoom, options.slant
    for _ in range(options.copies):
        yield np.concatenate([moved(block, amounts, noise) for block in np.array_split(images, len(images) // 1000)])


def moved(images: np.ndarray, amounts: tuple[float, ...], noise: torch.Generator) -> np.ndarray:
    """Each by its own amounts, even over ± the largest: shifts in halves of a side, an angle, a zoom and a slant."""
    x, y, angle, zoom, slant = (
        largest * (2 * torch.rand(len(images), generator=noise) - 1) for largest in map(float, amounts)
    )
    cos, sin, size = angle.cos(), angle.sin(), 1 + zoom
    rows = [size * cos, size * (slant * cos - sin), x, size * sin, size * (slant * sin + cos), y]
    places = functional.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), [len(images), 1, 28, 28], align_corners=False)
    levels = torch.tensor(images).movedim(3, 1).float()
    return functional.grid_sample(levels, places, align_corners=False).round_().byte().movedim(1, 3).numpy()


def judge(train: Digits, test: Digits, options: argparse.Namespace) -> None:
    images, labels = train[0][:-HELD_OUT], train[1][:-HELD_OUT]
    search = Nearest(np.concatenate([train[0][-HELD_OUT:], test[0]]))
    true = np.concatenate([train[1][-HELD_OUT:], test[1]])
    for number, copy in enumerate(copies(images, options), 1):
        for start in range(0, len(copy), 5000):
            search.add(copy[start : start + 5000], labels[start : start + 5000])
        if number in (*MARKS, options.copies):
            wrong = search.tags[:, 0] != true
            print(
                f"{search.seen:,} references: {wrong[:HELD_OUT].mean():.2%} of the held-out digits, "
                f"{wrong[HELD_OUT:].mean():.2%} of the test digits are wrong",
                flush=True,
            )


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
