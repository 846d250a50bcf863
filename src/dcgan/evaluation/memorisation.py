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

from dcgan.errors import InputError
from dcgan.evaluation.intervals import Z95
from dcgan.evaluation.nearest import Nearest
from dcgan.evaluation.neighbours import PIECE
from dcgan.images import grid

RARE = 0.01
"""A sample is a near copy if it is nearer to a training image than all but this share of the held-out images."""
SEEN = 0.05
"""If more of the held-out images than this share are training images, they were not held out."""
SHOWN = 8

Interval = tuple[float, float]


@dataclass(frozen=True)
class Contrast:
    """Samples against held-out images. Intervals are 95 %."""

    held_out: int
    """How many there are, but for those that are training images: these say nothing of how near unseen ones are."""
    median: float
    """Median distance of the held-out images to the nearest training image."""
    nearer: float
    """Probability that a sample is nearer to the training images than a held-out image is; ties count half."""
    nearer_interval: Interval
    copied: float
    """Share of the samples whose nearest real image is a training image, beyond what chance explains: 0 if training and
    held-out images are all the same to the generator (less by bad luck), 1 if all samples are copies."""
    copied_interval: Interval
    near_copies: int
    """Samples nearer to a training image than all but RARE of the held-out images are that are none."""
    near_copied: float
    """As `copied`, among the samples that are so near to any real image; without any 0, in an interval of
    all that there could be."""
    near_copied_interval: Interval
    learned: bool = False
    """Whether the features were learned from the training images: `copied` is of no use then."""

    @property
    def shares(self) -> dict[str, tuple[float, Interval]]:
        """The shares of copies that say something, by name, with their intervals."""
        near = {"near_copied": (self.near_copied, self.near_copied_interval)}
        return near if self.learned else {"copied": (self.copied, self.copied_interval), **near}


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
    suspects: tuple[int, ...]
    """Which samples to look at: those nearest to training images, most first, as a share of their distance to held-out
    images if there are any: simple drawings are near to everything."""
    contrast: Contrast | None
    """None without held-out images that are no training images."""

    @property
    def reading(self) -> str:
        """What the numbers say, in a sentence."""
        if self.contrast is None:
            return "no held-out images to compare with: distances alone do not tell copies from good drawings"
        near, shares = self.contrast.near_copies / self.samples, self.contrast.shares
        verdict = "signs" if any(low > 0 for _, (low, _) in shares.values()) else "no sign"
        of = {"copied": "of all samples", "near_copied": "of the nearest"}
        copies = [f"{share:.0%} {of[name]} ({low:.0%} to {high:.0%})" for name, (share, (low, high)) in shares.items()]
        return (
            f"{verdict} of memorisation: {near:.1%} of the samples are nearer to training images than "
            f"{1 - RARE:.0%} of held-out ones; copies beyond chance: {', '.join(copies)}"
        )


def memorisation(
    drawn: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    learned: bool = False,
    seen: np.ndarray | None = None,
) -> Memorisation:
    """Distances from samples, and from held-out images, to the nearest training image.

    All three are uint8 images (N, H, W, C), or features (N, D) of one extractor. Two questions, because drawings
    are often more typical than real images, and then nearer to *any* of them: `nearer` and `near_copies` compare the
    samples with held-out images (Meehan et al. 2020); `copied` and `near_copied` compare training with held-out images
    as neighbours, which without memory are all the same to a sample. progress(done, total) counts the training images.
    learned: the features are those of a network that was trained on the training images. These lie elsewhere in them
    than unseen images do, and are not all the same to a sample that knows neither: `copied` is left out.
    seen: bool (M,), which held-out images are training images, and are left out of the distances; by default
    `in_training` of what is given. For features give that of the images: in another batch the last digits differ.
    Raises InputError if more than SEEN of the held-out images are training images, pixel for pixel; ValueError for
    other types and shapes.
    """
    space: Literal["pixels", "features"] = "pixels" if drawn.dtype == np.uint8 else "features"
    unit = 255.0 if space == "pixels" else 1.0
    if held_out is not None and seen is None:
        seen = in_training(held_out, train)
    to_train = _search(drawn, train, progress=progress)
    distances = suspicion = to_train.distances[:, 0] / unit
    contrast = None
    if held_out is not None and seen is not None and not seen.all():
        baseline = np.sort(_search(held_out[~seen], train).distances[:, 0] / unit)
        bar = baseline[math.floor(RARE * len(baseline))]
        to_held_out = _search(drawn, held_out)
        others = to_held_out.distances[:, 0] / unit
        near, suspicion = np.minimum(distances, others) < bar, distances / np.maximum(others, np.finfo(float).tiny)
        contrast = Contrast(
            len(baseline),
            float(np.median(baseline)),
            *probability_less(distances, baseline),
            *share_copied(to_train, to_held_out, np.full(len(drawn), True)),
            int((distances < bar).sum()),
            *share_copied(to_train, to_held_out, near),
            learned,
        )
    suspects = tuple(np.argsort(suspicion, kind="stable")[:SHOWN].tolist())
    median, nearest = float(np.median(distances)), float(distances.min())
    return Memorisation(space, len(drawn), len(train), median, nearest, suspects, contrast)


def in_training(held_out: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Which held-out images (M, …) are training images (N, …), byte for byte: bool (M,).

    Raises InputError if they are images, uint8, and more than SEEN are.
    """
    rows = [image.tobytes() for image in held_out]
    both = set(rows).intersection(image.tobytes() for image in train)
    seen = np.array([row in both for row in rows], bool)
    if held_out.dtype == np.uint8 and seen.sum() > SEEN * len(seen):
        raise InputError(
            f"test: {seen.sum():,} of {len(seen):,} held-out images are training images; "
            "name others with --test, which the run was not trained on"
        )
    return seen


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
    columns: list[np.ndarray] = []
    for queries, references in [(drawn, train)] + ([features] if features else []):
        numbers = _search(queries, references, min(k, len(train))).tags
        columns += [drawn, *(train[column] for column in numbers.T)]
    return grid(np.stack(columns, axis=1).reshape(-1, *drawn.shape[1:]), len(columns))


def share_copied(to_train: Nearest, to_held_out: Nearest, chosen: np.ndarray) -> tuple[float, Interval]:
    """The share of copies, and its 95 % interval, from which of N training and M held-out images is nearest.

    chosen: bool (samples,), those to look at; without any nothing is known: 0, and the interval has all shares.

    Without memory any M of all the images could as well have been held out, and a training image would be the nearest
    of a share N / (N + M) of the samples; of copies it always is. Some images are the nearest of many samples: with c
    samples at an image, a random choice of M images gives the share a variance in terms of the sum of c².
    """
    n, images = int(chosen.sum()), to_train.seen + to_held_out.seen
    chance = to_train.seen / images
    if not n:
        return 0.0, (-chance / (1 - chance), 1.0)
    gap = to_held_out.squared[chosen, 0] - to_train.squared[chosen, 0]
    share = float((gap > 0).mean() + chance * (gap == 0).mean())
    nearest = np.where(gap > 0, to_train.tags[chosen, 0], to_train.seen + to_held_out.tags[chosen, 0])
    spread = (np.bincount(nearest).astype(np.float64) ** 2).sum() - n * n / images
    deviation = math.sqrt(chance * (1 - chance) * spread * images / (images - 1)) / n
    # Half a sample more: shares of few samples go in steps.
    copied, half = (share - chance) / (1 - chance), (Z95 * deviation + 0.5 / n) / (1 - chance)
    return copied, (copied - half, min(1.0, copied + half))


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


def _search(
    queries: np.ndarray, references: np.ndarray, k: int = 1, progress: Callable[[int, int], None] | None = None
) -> Nearest:
    search = Nearest(queries, k)
    for start in range(0, len(references), PIECE):
        search.add(references[start : start + PIECE])
        if progress:
            progress(search.seen, len(references))
    return search
