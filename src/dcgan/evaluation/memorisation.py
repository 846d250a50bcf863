"""Whether a generator draws its training images again: distances to them, against those of held-out images.

All of it works on pixels (uint8 images) and on features (floating point) alike. Held-out images are real, of the
same source, and none of those the run was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dcgan.evaluation.nearest import Nearest
from dcgan.evaluation.neighbours import PIECE, Z95
from dcgan.images import grid

RARE = 0.01
"""A sample is a near copy if it is nearer to a training image than all but this share of the held-out images."""
SHOWN = 8

Interval = tuple[float, float]


@dataclass(frozen=True)
class Contrast:
    """Samples against held-out images. Intervals are 95 %."""

    held_out: int
    median: float
    """Median distance of the held-out images to the nearest training image."""
    nearer: float
    """Probability that a sample is nearer to the training images than a held-out image is; ties count half."""
    nearer_interval: Interval
    prefers_training: float
    """Share of the samples nearer to a training image than to any of as many held-out ones; 0.5 without memory."""
    prefers_interval: Interval
    near_copies: int
    """Samples nearer to a training image than all but RARE of the held-out images are."""


@dataclass(frozen=True)
class Memorisation:
    """How near samples are to the training images, in Euclidean distance; pixels are in [0, 1]."""

    space: Literal["pixels", "features"]
    samples: int
    train: int
    median: float
    """Median distance of the samples to the nearest training image."""
    nearest: float
    """The least of these distances; 0 is an exact copy."""
    nearest_samples: tuple[int, ...]
    """Which samples are nearest to training images, nearest first: those to look at."""
    contrast: Contrast | None
    """None without held-out images."""

    @property
    def reading(self) -> str:
        """What the numbers say, in a sentence."""
        c = self.contrast
        if c is None:
            return "no held-out images to compare with: distances alone do not tell copies from good drawings"
        low, high = c.prefers_interval
        share = (
            f"{c.prefers_training:.1%} (95 %: {low:.1%} to {high:.1%}) of the samples are nearer to a training image"
        )
        tail = f"near copies {c.near_copies / self.samples:.1%}, against {RARE:.0%} of the held-out images"
        verdict = "signs of memorisation" if low > 0.5 else "no sign of memorisation"
        return f"{verdict}: {share} than to any of as many held-out ones (50 % without memory); {tail}"


def memorisation(
    drawn: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Memorisation:
    """Distances from samples, and from held-out images, to the nearest training image.

    All three are uint8 images (N, H, W, C), or features (N, D) of one extractor. Two questions, because drawings
    are often more typical than real images, and then nearer to *any* of them: `nearer` compares samples with held-out
    images (Meehan et al. 2020), `prefers_training` the training images with held-out ones as targets, which without
    memory are the same to a sample. progress(done, total) counts the training images.
    Raises ValueError for other types and shapes.
    """
    space: Literal["pixels", "features"] = "pixels" if drawn.dtype == np.uint8 else "features"
    unit = 255.0 if space == "pixels" else 1.0
    distances = _search(drawn, train, progress=progress).distances[:, 0] / unit
    contrast = None if held_out is None else _contrast(drawn, distances, train, held_out, unit)
    nearest = np.argsort(distances, kind="stable")[:SHOWN]
    return Memorisation(
        space,
        len(drawn),
        len(train),
        float(np.median(distances)),
        float(distances[nearest[0]]),
        tuple(int(i) for i in nearest),
        contrast,
    )


def neighbour_grid(
    drawn: np.ndarray,
    train: np.ndarray,
    k: int = 5,
    features: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """A picture, uint8 (H', W', C): a row for each sample, the sample first, then its k nearest training images.

    drawn, train: uint8 (N, H, W, C). features: (N, D) of both; each row then goes on with the sample again, and its k
    nearest in feature space.
    """
    spaces = [(drawn, train)] + ([features] if features else [])
    columns = []
    for queries, references in spaces:
        numbers = _search(queries, references, min(k, len(train))).tags
        columns += [drawn, *(train[column] for column in numbers.T)]
    return grid(np.stack(columns, axis=1).reshape(-1, *drawn.shape[1:]), len(columns))


def _search(
    queries: np.ndarray, references: np.ndarray, k: int = 1, progress: Callable[[int, int], None] | None = None
) -> Nearest:
    search = Nearest(queries, k)
    for start in range(0, len(references), PIECE):
        search.add(references[start : start + PIECE])
        if progress:
            progress(search.seen, len(references))
    return search


def _contrast(
    drawn: np.ndarray, distances: np.ndarray, train: np.ndarray, held_out: np.ndarray, unit: float
) -> Contrast:
    baseline = np.sort(_search(held_out, train).distances[:, 0] / unit)
    prefers, prefers_interval = _preference(drawn, _evenly(train, len(held_out)), _evenly(held_out, len(train)))
    nearer, nearer_interval = probability_less(distances, baseline)
    bar = baseline[math.floor(RARE * len(baseline))]
    return Contrast(
        len(held_out),
        float(np.median(baseline)),
        nearer,
        nearer_interval,
        prefers,
        prefers_interval,
        int((distances < bar).sum()),
    )


def _evenly(items: np.ndarray, n: int) -> np.ndarray:
    """At most n of the items, evenly spread: sets are often sorted by class."""
    return items if len(items) <= n else items[np.arange(n) * len(items) // n]


def _preference(drawn: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> tuple[float, Interval]:
    """Share of samples nearer to `train` than to `held_out`, as many of each, and its 95 % interval; ties count half.

    Were there no memory, each target could as well have been in the other set. Some are the nearest of many
    samples: with c samples at a target the share's variance is the sum of c² over 4 n².
    """
    one, other = _search(drawn, train), _search(drawn, held_out)
    gap = other.squared[:, 0] - one.squared[:, 0]
    share = float((gap > 0).mean() + (gap == 0).mean() / 2)
    targets = np.where(gap > 0, one.tags[:, 0], len(train) + other.tags[:, 0])
    half = Z95 * math.sqrt((np.bincount(targets).astype(float) ** 2).sum()) / (2 * len(drawn))
    return share, (max(0.0, share - half), min(1.0, share + half))


def probability_less(some: np.ndarray, others: np.ndarray) -> tuple[float, Interval]:
    """P(a < b) + P(a = b) / 2 for a of `some` (N,) and b of `others` (M,): Mann and Whitney's, and its 95 % interval.

    The interval is DeLong's (1988): from the variance of each item's share of the other set.
    """
    of_some, of_others = _share_above(some, others), 1.0 - _share_above(others, some)
    probability = float(of_some.mean())
    variance = sum(float(part.var(ddof=1)) / len(part) for part in (of_some, of_others) if len(part) > 1)
    half = Z95 * math.sqrt(variance)
    return probability, (max(0.0, probability - half), min(1.0, probability + half))


def _share_above(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each value the share of the others above it, equal ones counting half."""
    others = np.sort(others)
    below, upto = np.searchsorted(others, values, "left"), np.searchsorted(others, values, "right")
    return 1.0 - (below + upto) / (2 * len(others))
