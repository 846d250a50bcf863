"""Boxes drawn by hand around something in numbered samples: a small JSON file.

    {"format": "dcgan-boxes-1", "seed": 0, "boxes": [{"sample": 3, "top": 40, "left": 18, "height": 14, "width": 28}]}

Lengths are whole pixels from the top left corner, inside the image; a sample may have several boxes, and samples with
none are not used. Optional beside "seed": "class", the name or number that a conditional generator's samples were asked
for (otherwise all in turn), and "truncation", as of `dcgan sample`: with these a sample's number says which it is.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcgan.errors import InputError, printable
from dcgan.files import write_json
from dcgan.reading import is_integer, read_json
from dcgan.values import brief, listing

FORMAT = "dcgan-boxes-1"
LARGEST_FILE, MOST_BOXES = 2**21, 10_000
"""Bytes, and boxes: each may be in a block of 64 samples of its own, which are drawn."""
_LENGTHS = ("sample", "top", "left", "height", "width")


@dataclass(frozen=True)
class Box:
    """A rectangle in one sample, in pixels."""

    sample: int
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Boxes:
    """What was drawn, and in which samples."""

    seed: int
    boxes: tuple[Box, ...]
    label: int | str | None = None
    truncation: float | None = None

    @property
    def samples(self) -> tuple[int, ...]:
        """The numbers of the samples with boxes, in order."""
        return tuple(sorted({box.sample for box in self.boxes}))

    def masks(self, numbers: np.ndarray, images: np.ndarray) -> np.ndarray:
        """bool (N, H, W): what lies in a box of samples `numbers` (N,), whose images are uint8 (N, H, W, C)."""
        masks = np.zeros(images.shape[:3], bool)
        for box in self.boxes:
            masks[numbers == box.sample, box.top : box.top + box.height, box.left : box.left + box.width] = True
        return masks

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        values: dict[str, Any] = {"format": FORMAT, "seed": self.seed}
        values |= {} if self.label is None else {"class": self.label}
        values |= {} if self.truncation is None else {"truncation": self.truncation}
        write_json(path, values | {"boxes": [asdict(box) for box in self.boxes]})


def read_boxes(path: Path, size: tuple[int, int]) -> Boxes:
    """Boxes in images of (height, width). InputError lists everything that is wrong with the file."""
    values = read_json(path, LARGEST_FILE)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f'{printable(path)}: no boxes of this version; it has to hold "format": "{FORMAT}"')
    problems = _problems(values, size)
    if problems:
        raise InputError(f"{printable(path)}: {listing(problems[:10])}")
    boxes = tuple(Box(**{name: box[name] for name in _LENGTHS}) for box in values["boxes"])
    return Boxes(values["seed"], boxes, values.get("class"), values.get("truncation"))


def _problems(values: dict[str, Any], size: tuple[int, int]) -> list[str]:
    problems = [
        f"unknown key {brief(key)}" for key in values.keys() - {"format", "seed", "class", "truncation", "boxes"}
    ]
    if not is_integer(values.get("seed"), 0, 2**63 - 1):
        problems.append(f"seed: {brief(values.get('seed'))} is no whole number from 0 to 2^63 - 1")
    label, truncation = values.get("class"), values.get("truncation")
    if label is not None and not isinstance(label, str) and not is_integer(label, 0, 2**31):
        problems.append(f"class: {brief(label)} is no name or number")
    if truncation is not None and not (
        isinstance(truncation, int | float) and not isinstance(truncation, bool) and 0 < truncation < math.inf
    ):
        problems.append(f"truncation: {brief(truncation)} is outside (0, ∞)")
    boxes = values.get("boxes")
    if not isinstance(boxes, list) or not boxes:
        return [*problems, "boxes: wants a list of one box or more"]
    if len(boxes) > MOST_BOXES:
        return [*problems, f"boxes: {len(boxes):,} of them; at most {MOST_BOXES:,}"]
    return problems + [problem for i, box in enumerate(boxes) for problem in _box_problems(i, box, size)]


def _box_problems(i: int, box: Any, size: tuple[int, int]) -> list[str]:
    if not isinstance(box, dict) or box.keys() != set(_LENGTHS):
        return [f"boxes[{i}]: wants {', '.join(_LENGTHS)} and nothing else"]
    if not all(is_integer(box[name], 0 if name in ("sample", "top", "left") else 1, 2**40) for name in _LENGTHS):
        return [f"boxes[{i}]: wants whole numbers, at least 0, and 1 for height and width"]
    if box["top"] + box["height"] > size[0] or box["left"] + box["width"] > size[1]:
        return [f"boxes[{i}]: reaches beyond the image, which is {size[0]} high and {size[1]} wide"]
    return []
