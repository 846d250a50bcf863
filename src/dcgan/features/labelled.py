"""Labelled images for a discriminator, as its run prepared them; and how they are split and drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcgan.config import NetworkConfig
from dcgan.data.pack import Pack
from dcgan.errors import InputError, printable
from dcgan.evaluation.intervals import Z95
from dcgan.evaluation.originals import Originals
from dcgan.progress import Display

_T = (12.7062, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691)
"""Student's t at 97.5 % for 1 to 6 degrees of freedom."""


@dataclass(frozen=True)
class Spread:
    """A mean over draws, and what it may be off by."""

    mean: float
    deviation: float | None
    """Standard deviation of single draws; None of one draw."""
    half: float | None
    """Half of the mean's 95 % interval, Student's t."""

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], None, None)
        deviation = float(np.std(values, ddof=1))
        return cls(float(np.mean(values)), deviation, student_t(len(values) - 1) * deviation / math.sqrt(len(values)))


def student_t(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, to 0.001 (Fisher's expansion beyond 6 degrees of freedom)."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    terms = (
        (Z95**3 + Z95) / 4,
        (5 * Z95**5 + 16 * Z95**3 + 3 * Z95) / 96,
        (3 * Z95**7 + 19 * Z95**5 + 17 * Z95**3 - 15 * Z95) / 384,
    )
    return Z95 + sum(term / freedom**i for i, term in enumerate(terms, 1))


def labelled_images(
    network: NetworkConfig, source: Originals, test: str | Path | None, display: Display
) -> tuple[Pack, Pack]:
    """Training and test images at the network's size; InputError unless both have labels of the same classes."""
    real = source.splits(network, test, display)
    if real.test is None:
        raise InputError(
            f"test: {printable(real.train.source)} brings no test images; name some of the same classes with --test"
        )
    for images in (real.train, real.test):
        if images.labels is None or len(images.class_names) < 2:
            raise InputError(
                f"{printable(images.source)}: no labels of two classes or more (one folder a class gives some)"
            )
    if real.train.class_names != real.test.class_names:
        raise InputError(
            f"test: its classes {_listed(real.test.class_names)} are not those of the training images, "
            f"{_listed(real.train.class_names)}"
        )
    return real.train, real.test


def split_off(labels: np.ndarray, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the images that stay and of those held out for validation, every class in its share; both sorted."""
    order = np.argsort(_place_in_class(labels, seed), kind="stable")
    return np.sort(order[number:]), np.sort(order[:number])


def balanced_draws(
    labels: np.ndarray, pool: np.ndarray, number: int, draws: int, class_names: tuple[str, ...], seed: int
) -> list[np.ndarray]:
    """Image numbers of each draw, sorted: as many images of each class, from the pool, no image twice in a draw.

    Draw i is the same whatever `draws` is. Raises InputError if `number` is no multiple of the classes, or a class too
    small.
    """
    classes = len(class_names)
    if number % classes or number < classes:
        near = max(classes, number // classes * classes)
        raise InputError(
            f"labels: {number:,} cannot be balanced over {classes} classes; nearest: {near:,} and {near + classes:,}"
        )
    each = number // classes
    members = [pool[labels[pool] == k] for k in range(classes)]
    for name, own in zip(class_names, members, strict=True):
        if len(own) < each:
            raise InputError(
                f"labels: {number:,} labels want {each:,} images of each class, and of {printable(name)} there are "
                f"{len(own):,} to draw from; ask for fewer --labels or a smaller --validation"
            )
    found = []
    for draw in range(draws):
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 2, draw]))
        found.append(np.sort(np.concatenate([rng.choice(own, each, replace=False) for own in members])))
    return found


def stratified_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each image, int64 (N,): every class is spread evenly over them."""
    order = np.lexsort((_place_in_class(labels, seed), labels))
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) % folds
    return found


def _place_in_class(labels: np.ndarray, seed: int) -> np.ndarray:
    """For each image a random place in its class, between 0 and 1, evenly spread."""
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 1, 0]))
    places = np.empty(len(labels))
    for k in np.unique(labels):
        own = np.flatnonzero(labels == k)
        places[own] = (rng.permutation(len(own)) + rng.random()) / len(own)
    return places


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(printable, names[:5])) + (", …" if len(names) > 5 else "")
