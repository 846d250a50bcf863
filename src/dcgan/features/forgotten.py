"""How well something was forgotten: how often it is still drawn, and what became of the rest of the images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from dcgan.data.pack import Progress
from dcgan.errors import InputError
from dcgan.evaluation.fidelity import frechet, statistics
from dcgan.evaluation.intervals import wilson
from dcgan.features.forget import Masks, Samples, drawn
from dcgan.pretrained import Generator

FEWEST, MOST = 100, 100_000
"""Samples that a measurement wants, and that anything here takes."""
GREY = 128
"""Level of what is masked out."""
GRID = 8
"""The pixel features are the image averaged to at most so many rows and columns."""

Look = Callable[[np.ndarray], np.ndarray]
"""uint8 images (N, H, W, C) → features (N, D)."""
Judge = Callable[[np.ndarray], np.ndarray]
"""uint8 images (N, H, W, C) → bool (N,): whether the thing is in them."""


@dataclass(frozen=True)
class Rate:
    """How often a judge finds the thing, of n samples drawn and the same drawn without the maps."""

    judge: str
    before: float
    after: float
    n: int

    @property
    def fall(self) -> float:
        """Share of the rate that is gone: 0 nothing, 1 all; 0 also if there was nothing."""
        return 1 - self.after / self.before if self.before else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the rate after (Wilson)."""
        return wilson(self.after * self.n, self.n)


@dataclass(frozen=True)
class Distance:
    """Fréchet distances to other samples of the generator, of the same number: of features of one kind.

    Outside: with what the masks cover grey in all images. Each `floor` is that of the samples as they were drawn.
    """

    features: str
    outside: float
    outside_floor: float
    whole: float
    whole_floor: float


@dataclass(frozen=True)
class Change:
    """Mean absolute change of a pixel, in levels of 255, inside and outside the masks."""

    inside: float
    outside: float


@dataclass(frozen=True)
class Forgotten:
    """All that is measured; distances only where masks are known for every sample."""

    rates: tuple[Rate, ...]
    change: Change
    distances: tuple[Distance, ...]
    samples: int
    seed: int


def change(before: np.ndarray, after: np.ndarray, masks: np.ndarray) -> Change:
    """Of two sets of uint8 images (N, H, W, C), by bool masks (N, H, W). InputError for masks of all or nothing."""
    if masks.all() or not masks.any():
        raise InputError(f"masks: they hold {'everything' if masks.all() else 'nothing'} in {len(masks):,} samples")
    moved = np.abs(before.astype(np.int16) - after).mean(3)
    return Change(float(moved[masks].mean()), float(moved[~masks].mean()))


def pixels(images: np.ndarray) -> np.ndarray:
    """Pixel features: images averaged to at most 8×8, in levels, float32 (N, 64 C at most)."""
    size = min(GRID, images.shape[1]), min(GRID, images.shape[2])
    parts = [
        torch.nn.functional.adaptive_avg_pool2d(torch.tensor(images[i : i + 512]).permute(0, 3, 1, 2).float(), size)
        for i in range(0, len(images), 512)
    ]
    return torch.cat(parts).flatten(1).numpy()


def masked(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """A copy that is grey inside the masks."""
    return np.where(masks[..., None], np.uint8(GREY), images)


def distance(
    name: str,
    look: Look,
    before: np.ndarray,
    after: np.ndarray,
    others: np.ndarray,
    masks: tuple[np.ndarray, np.ndarray],
) -> Distance:
    """Distances of samples before and after to other samples, all uint8 (N, H, W, C); masks of the samples, and theirs.

    The samples after are masked where those before are: what is compared is the same places.
    """
    own, theirs = masks
    outside, whole = (
        [statistics(look(images)) for images in kind]
        for kind in ((masked(after, own), masked(before, own), masked(others, theirs)), (after, before, others))
    )
    return Distance(name, *(frechet(of, kind[2]) for kind in (outside, whole) for of in kind[:2]))


def require_enough(samples: int) -> None:
    """InputError for fewer samples than can be measured, or too many."""
    if samples < FEWEST:
        raise InputError(f"measure: {samples} samples say nothing; at least {FEWEST}")
    if samples > MOST:
        raise InputError(f"measure: {samples:,} samples are too many; at most {MOST:,}")


def forgotten(
    generator: Generator,
    edited: Generator,
    masks: Masks,
    boxed: Samples | None,
    judges: dict[str, Judge],
    looks: dict[str, Look],
    *,
    samples: int,
    seed: int,
    label: int | str | None = None,
    truncation: float | None = None,
    progress: Progress | None = None,
) -> Forgotten:
    """Measure on `samples` samples of a seed with and without the maps, and as many others for the distances.

    masks: where the thing is. boxed: the samples that masks are known for, if not for all; changes are then measured
    on them, and there are no distances. judges and looks: by name, what finds the thing, and kinds of features.
    progress counts the images drawn. Raises InputError for fewer than 100 samples or over 100,000.
    """
    require_enough(samples)

    total, done = samples * (2 if boxed else 3), 0

    def draw(which: Generator, n: int) -> np.ndarray:
        nonlocal done
        pieces = []
        for piece in which.stream(n, seed, label=label, truncation=truncation):
            pieces.append(piece)
            done += len(piece)
            if progress:
                progress(done, total)
        return np.concatenate(pieces)

    both = draw(generator, samples if boxed else 2 * samples)
    before, others, after = both[:samples], both[samples:], draw(edited, samples)
    rates = tuple(
        Rate(name, float(judge(before).mean()), float(judge(after).mean()), samples) for name, judge in judges.items()
    )
    if boxed:
        numbers = np.unique(boxed.numbers)
        pair = [np.concatenate([images for _, images, _ in drawn(g, boxed, 2)]) for g in (generator, edited)]
        return Forgotten(rates, change(pair[0], pair[1], masks(numbers, pair[0])), (), samples, seed)
    own, theirs = masks(np.arange(samples), before), masks(np.arange(samples, 2 * samples), others)
    distances = tuple(distance(name, look, before, after, others, (own, theirs)) for name, look in looks.items())
    return Forgotten(rates, change(before, after, own), distances, samples, seed)
