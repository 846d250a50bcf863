"""The real side of every score: features of the real images, kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dcgan.data.cache import default_cache
from dcgan.data.pack import Pack, Progress
from dcgan.errors import InputError
from dcgan.evaluation.extractors import Extractor, Features, joined
from dcgan.evaluation.fidelity import Moments, Statistics, statistics
from dcgan.files import read_tensors, write_tensors

FORMAT = 1
KEPT = 10_000
"""Images whose features are kept one by one; of the rest only mean and covariance are."""
_PIECE = 4096


@dataclass(frozen=True, eq=False)
class Reference:
    """Features of real images: statistics of all that were looked at, and the features of up to 10,000 of them."""

    statistics: Statistics
    kept: Features

    def split(self, number: int) -> tuple[Features, Reference]:
        """The first `number` of what is kept, and the rest as a reference: the floor without a test split."""
        features, logits = self.kept
        first = Features(features[:number], None if logits is None else logits[:number])
        return first, Reference(statistics(features[number:]), Features(features[number:], None))


def reference(
    images: Pack, extractor: Extractor, number: int, progress: Progress | None = None, cache: Path | None = None
) -> Reference:
    """Features of `number` images of a pack, from the cache or anew; the same images whatever else is asked.

    The cache's key is the pack's key, the extractor's digest and precision, and the number.
    """
    facts = (FORMAT, images.key, extractor.digest, extractor.precision, number)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
    path = (cache or default_cache()) / "features" / f"{key}.safetensors"
    if path.exists():
        try:
            return _from_tensors(read_tensors(path)[0], number, extractor.dimensions)
        except (InputError, KeyError):  # damaged: made anew
            pass
    found = _extract(images.images, extractor, number, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, _to_tensors(found), {"images": images.source, "extractor": extractor.name})
    return _from_tensors(_to_tensors(found), number, extractor.dimensions)


def _extract(images: np.ndarray, extractor: Extractor, number: int, progress: Progress | None) -> Reference:
    """Look at a random choice of the images, in random order, so that what is kept is one as well."""
    order = np.random.Generator(np.random.Philox(key=0)).permutation(len(images))[:number]

    def pieces() -> Iterator[np.ndarray]:
        for start in range(0, number, _PIECE):
            yield images[order[start : start + _PIECE]]

    moments, kept, count = Moments(), list[Features](), 0
    for part in _grouped(extractor.stream(pieces(), progress, number)):
        moments.add(part.features)
        if count < KEPT:
            kept.append(part)
        count += len(part.features)
    features, logits = joined(kept)
    return Reference(moments.statistics(), Features(features[:KEPT], None if logits is None else logits[:KEPT]))


def _grouped(parts: Iterable[Features]) -> Iterator[Features]:
    """Batches joined to a thousand rows or more: a product of 16 rows costs almost as much as one of a thousand."""
    waiting = list[Features]()
    for part in parts:
        waiting.append(part)
        if sum(len(some.features) for some in waiting) >= 1024:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)


def _to_tensors(found: Reference) -> dict[str, torch.Tensor]:
    arrays = {
        "mean": found.statistics.mean,
        "covariance": found.statistics.covariance,
        "features": found.kept.features,
        "logits": found.kept.logits,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items() if array is not None}


def _from_tensors(tensors: dict[str, torch.Tensor], number: int, dimensions: int) -> Reference:
    """InputError unless all have the shapes of features with so many dimensions."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    mean, covariance, features, logits = (arrays.get(n) for n in ("mean", "covariance", "features", "logits"))
    if mean is None or covariance is None or features is None:
        raise InputError("no features of real images")
    rows = min(number, KEPT)
    if (mean.shape, covariance.shape) != ((dimensions,), (dimensions, dimensions)) or features.shape != (
        rows,
        dimensions,
    ):
        raise InputError("features of other images")
    if logits is not None and (logits.ndim != 2 or len(logits) != rows):
        raise InputError("logits of other images")
    return Reference(Statistics(mean, covariance, number), Features(features, logits))
