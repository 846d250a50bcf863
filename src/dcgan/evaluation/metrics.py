"""The metrics by the names of the command line, and how each is taken from two sets of features."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcgan.errors import InputError, nearest
from dcgan.evaluation import fidelity
from dcgan.evaluation.extractors import Extractor, Features
from dcgan.evaluation.fidelity import Estimate
from dcgan.evaluation.reference import Reference

OF_FEATURES = {
    "fid": "Fréchet distance",
    "kid": "kernel distance",
    "prc": "improved precision and recall",
    "dc": "density and coverage",
    "isc": "Inception Score",
}
METRICS = OF_FEATURES | {
    "1nn": "nearest-neighbour classification of real images by drawn ones (the paper's Table 3)",
    "memorisation": "distances to the training images",
}
DEFAULT_METRICS = ("fid", "kid", "prc", "dc")
FEWEST = 20
"""Images of one side that a metric can say something of; Table 3's references may be fewer."""


@dataclass(frozen=True)
class Measured:
    """An estimate, and how many images of either side it is of."""

    estimate: Estimate
    samples: int
    reference_samples: int


def metric_names(text: str) -> list[str]:
    """ "fid, kid" → ["fid", "kid"]."""
    return [name.strip() for name in text.split(",") if name.strip()]


def check_metrics(
    metrics: Sequence[str], extractor: Extractor | None = None, among: Mapping[str, str] = METRICS
) -> None:
    """Raises InputError for no metric, one not `among` these, or one that cannot be had here or of the extractor."""
    there = ", ".join(among)
    if not metrics:
        raise InputError(f"metrics: none given (there are: {there})")
    for name in metrics:
        if name not in among:
            raise InputError(f"metrics: there is no {name!r}{nearest(name, among)} (there are: {there})")
    theirs = [name for name in metrics if name in ("kid", "isc")]
    if theirs and importlib.util.find_spec("torch_fidelity") is None:
        raise InputError(
            f"metrics: {' and '.join(theirs)} are torch-fidelity's, which is not installed: pip install "
            "'dcgan[evaluation]', or --metrics fid,prc,dc"
        )
    if "isc" in metrics and extractor and not extractor.has_classes:
        raise InputError(
            f"metrics: isc wants class probabilities, and this {extractor.name} has no classifier "
            "(none in its weights, or one of zeros); leave isc out"
        )


def check_number(name: str, images: int, fewest: int = FEWEST) -> None:
    """Raises InputError if a number of images, of the option or the images of that name, is too small."""
    if images < fewest:
        raise InputError(f"{name}: {images} images say nothing; at least {fewest}")


def compare(
    metrics: Sequence[str], drawn: Features, real: Reference, seed: int, intervals: bool = True
) -> dict[str, Measured]:
    """All of the metrics, one value or two each, by the names of the values.

    FID is against the statistics of all real images, KID against those that are kept one by one; the balls of
    the other four want equal numbers on both sides, and take the first of each.
    """
    found: dict[str, Measured] = {}
    n = min(len(drawn.features), len(real.kept.features))
    ours, theirs = drawn.features[:n], real.kept.features[:n]
    for metric in metrics:
        if metric == "fid":
            estimate = fidelity.fid(drawn.features, real.statistics, intervals)
            found["fid"] = Measured(estimate, len(drawn.features), real.statistics.count)
        elif metric == "kid":
            estimate = fidelity.kid(drawn.features, real.kept.features, seed)
            found["kid"] = Measured(estimate, len(drawn.features), len(real.kept.features))
        elif metric == "prc":
            both = fidelity.precision_recall(ours, theirs)
            found |= {name: Measured(one, n, n) for name, one in zip(("precision", "recall"), both, strict=True)}
        elif metric == "dc":
            both = fidelity.density_coverage(ours, theirs)
            found |= {name: Measured(one, n, n) for name, one in zip(("density", "coverage"), both, strict=True)}
        elif drawn.logits is not None:
            estimate = fidelity.inception_score(drawn.logits, seed)
            found["inception_score"] = Measured(estimate, len(drawn.logits), 0)
    return found
