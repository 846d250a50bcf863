"""What is written of a measurement: every score with all that a reader needs to judge or repeat it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from dcgan.errors import InputError, printable
from dcgan.files import append_lines


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, and where it is from."""

    low: float
    high: float
    how: str


@dataclass(frozen=True)
class Floor:
    """The same score of real images that are not the reference: what a perfect generator would get with as many."""

    value: float
    samples: int
    """Real images in place of the drawn."""
    how: str
    """Which, in words that a number may stand before."""


@dataclass(frozen=True)
class Score:
    """One number and its protocol; as JSON one line of `evaluation.jsonl`."""

    metric: str
    value: float
    interval: Interval | None
    floor: Floor | None
    samples: int
    """Drawn images."""
    labels: str | None
    """Where their labels are from, if the score wants any."""
    reference_samples: int
    """Real images that they are compared with."""
    reference: str
    """What those are."""
    split: str
    images: str
    """How the real images were prepared: size, channels, filter."""
    extractor: str
    """Whose features are compared, or "pixels"."""
    digest: str
    """SHA-256 of the extractor's weights and recipe."""
    resize: str
    """What the extractor does to the images first."""
    precision: str
    generator: str
    images_shown: int | None
    """Real images that the generator was trained on, with repetitions, if it is known."""
    seed: int
    truncation: float | None
    when: str
    """UTC, ISO 8601."""
    dcgan: str

    def to_json(self) -> str:
        """One line; no NaN."""
        return json.dumps(asdict(self), allow_nan=False)


def append(scores: Iterable[Score], path: Path) -> None:
    """Add a line a score to a file, in one write."""
    append_lines(path, "".join(score.to_json() + "\n" for score in scores), lasting=True)


def require_appendable(path: Path) -> None:
    """Raises InputError now rather than when the work is done, if the file cannot be written."""
    there = path if path.exists() else path.parent
    if path.is_dir() or not there.exists() or not os.access(there, os.W_OK):
        raise InputError(f"{printable(path)}: cannot be written")
