"""Measuring a generator by features: `Measure` is prepared once and used many times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from dcgan import distributed
from dcgan.data.pack import Pack, Progress
from dcgan.device import resolve_device
from dcgan.errors import InputError
from dcgan.evaluation.choice import choose_extractor
from dcgan.evaluation.extractors import Extractor, Features, joined
from dcgan.evaluation.metrics import (
    DEFAULT_METRICS,
    FEWEST,
    OF_FEATURES,
    Measured,
    check_metrics,
    check_number,
    compare,
)
from dcgan.evaluation.reference import KEPT, Reference, reference
from dcgan.pretrained import SHARE, Generator
from dcgan.progress import Display


class Measure:
    """An extractor and the real images' features, ready to judge any number of generators.

        measure = Measure.of(pack, samples=5000)
        measure(generator)  # {"fid": 3.1, "kid": 0.001, …}

    The random states of the process are left alone, so that a training may be measured without being changed.
    """

    def __init__(
        self,
        extractor: Extractor,
        real: Reference,
        metrics: Sequence[str] = DEFAULT_METRICS,
        samples: int = 10_000,
        seed: int = 0,
        truncation: float | None = None,
    ) -> None:
        self.extractor, self.real, self.metrics = extractor, real, tuple(metrics)
        self.samples, self.seed, self.truncation = samples, seed, truncation

    @classmethod
    def of(
        cls,
        train: Pack,
        metrics: Sequence[str] = DEFAULT_METRICS,
        *,
        extractor: str = "auto",
        weights: Path | None = None,
        samples: int = 10_000,
        reference_samples: int | None = None,
        seed: int = 0,
        truncation: float | None = None,
        device: str = "auto",
        precision: str = "fp32",
        display: Display | None = None,
    ) -> Self:
        """Choose the extractor and look at the real images (or read their features from the cache).

        reference_samples: how many of them, by default all. Raises InputError for numbers that make no sense, and
        if the extractor cannot be had.
        """
        check_metrics(metrics, among=OF_FEATURES)
        display = display or Display(quiet=True)
        number = len(train.images) if reference_samples is None else reference_samples
        for name, value in (("samples", samples), ("reference", number)):
            check_number(name, value)
        if number > len(train.images):
            raise InputError(f"reference: there are only {len(train.images):,} real images, not {number:,}")
        chosen = choose_extractor(extractor, weights, train, resolve_device(device), precision, display)
        check_metrics(metrics, chosen)  # before the real images are looked at, which may take an hour
        real = reference(train, chosen, number, display.counter("looking at real"))
        return cls(chosen, real, metrics, samples, seed, truncation)

    def __call__(self, generator: Generator) -> dict[str, float]:
        """The values by name, without intervals."""
        drawn = self.draw(generator)

        def values() -> dict[str, float]:
            found = compare(self.metrics, drawn, self.real, self.seed, intervals=False)
            return {name: measured.estimate.value for name, measured in found.items()}

        return distributed.from_main(values)

    def draw(self, generator: Generator, progress: Progress | None = None) -> Features:
        """Features of the generator's images 0 … samples - 1 of the seed; classes, if it has any, in turn.

        Of several processes each draws and looks at its shares; all features are in the main one, and none in others.
        """
        if distributed.world() > 1:
            shares = generator.shares(self.samples, self.seed, truncation=self.truncation)
            looked = (self.extractor(images) for _, images in shares)
            parts = [Features(*part) for part in distributed.in_order(looked, -(-self.samples // SHARE))]  # type: ignore[arg-type]
            return joined(parts) if parts else Features(np.empty((0, self.extractor.dimensions), np.float32), None)
        pieces = generator.stream(self.samples, self.seed, truncation=self.truncation)
        return joined(list(self.extractor.stream(pieces, progress, self.samples)))

    def floor(self, test: Pack | None, progress: Progress | None = None) -> tuple[dict[str, Measured], str]:
        """The same metrics of real images, as many as are drawn or there are, and in words which images.

        Those of the test split against the reference; without one, a part of the reference, half of it at most,
        against the rest. Empty if they are too few.
        """
        kept = len(self.real.kept.features)
        number = min(self.samples, kept // 2 if test is None else min(len(test.images), KEPT))
        if number < FEWEST:
            return {}, ""
        if test is None:
            drawn, real = self.real.split(number)
            how = f"reference images against the other {kept - number:,} of {kept:,}"
        else:
            drawn, real = reference(test, self.extractor, number, progress).kept, self.real
            how = f"test images ({test.source})"
        return compare(self.metrics, drawn, real, self.seed, intervals=False), how
