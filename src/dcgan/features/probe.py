"""How much of the classes a linear SVM finds in D's features, beside controls [paper, Tables 1 and 2].

Every row of the table sees the same labelled images. `random D` is the same architecture, freshly initialised;
`pixels` are the raw ones in [-1, 1]; `supervised` is a network of D's architecture trained on the labels alone.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dcgan
from dcgan.device import full_float32, has_room
from dcgan.errors import InputError, printable
from dcgan.evaluation.intervals import wilson
from dcgan.evaluation.originals import originals
from dcgan.features import guided
from dcgan.features.extract import feature_extractor
from dcgan.features.judging import Job, Space, labels_of, prepare, standardise_
from dcgan.features.labelled import Spread
from dcgan.features.protocol import Probe, Protocol, Row
from dcgan.features.supervised import Trial, train_supervised
from dcgan.pretrained import Discriminator
from dcgan.progress import Display

RATIOS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""The default C, in units of 1 / the mean squared length of the features."""
Features = Callable[[np.ndarray, np.ndarray | None], torch.Tensor]
"""Images of a split, and the numbers of those wanted or None for all → features float16 (n, F)."""


def probe(
    run: str | Path,
    data: str | Path | None = None,
    *,
    test: str | Path | None = None,
    protocol: Protocol | None = None,
    supervised: bool = False,
    recalibrate: bool = False,
    precision: str = "auto",
    device: str = "auto",
    keep: Callable[[Probe], None] | None = None,
    quiet: bool = False,
) -> Probe:
    """A linear SVM's test error on D's features, on those of a random D, and on raw pixels.

    run: a run directory or a discriminator.safetensors. data, test: labelled images, by default those of the training
    and their test split. supervised: also train networks of D's architecture on the labels alone. recalibrate: take
    the batch norms' statistics from the training images even if D has running ones (a random D always does).
    keep: given what there is after every row, of which each may take many minutes; not `complete` yet.
    Raises InputError for wrong input, before anything slow if it can be known.
    """
    protocol = protocol or Protocol()
    protocol.check()
    if supervised and protocol.choose == "cv":
        raise InputError("supervised: its random search wants validation images; use --choose validation")
    path, display = Path(run), Display(quiet=quiet)
    discriminator = Discriminator.from_pretrained(path, device)
    with display:
        job = prepare(discriminator.info.network, originals(path, data), test, protocol, display)
        facts, rows = _facts(job, discriminator, path, precision), list[Row]()

        def done(row: Row) -> None:
            rows.append(row)
            if keep:
                keep(Probe(tuple(rows), facts, complete=False))
            display.say(f"{row.features}: {_percent(row)}")

        for name, how, features in sources(job, discriminator, recalibrate, precision):
            seen = mirrored(features) if protocol.mirror else features
            with full_float32():
                row = judged(job, name, how, seen, next(discriminator.parameters()).device)
            done(row)
        if supervised:
            done(judged_supervised(job, discriminator))
    return Probe(tuple(rows), facts)


def sources(
    job: Job, discriminator: Discriminator, recalibrate: bool, precision: str
) -> Iterator[tuple[str, str, Features]]:
    """Name, words and features of each row but the supervised one."""
    for name in ("D", "random D"):
        network = discriminator if name == "D" else untrained(discriminator, job.protocol.seed)
        extractor = feature_extractor(
            network,
            job.train.images,
            recalibrate=recalibrate or network is not discriminator,
            precision=precision,
            progress=job.display.counter(f"batch norm statistics of {name} from"),
        )

        def features(images: np.ndarray, which: np.ndarray | None, name: str = name, extractor: Any = extractor) -> Any:
            seen = images if which is None else images[which]
            return extractor(seen, torch.float16, job.display.counter(f"features of {name} from"))

        arithmetic = str(extractor.dtype).removeprefix("torch.")
        yield name, f"{len(extractor.maps)} convolutions pooled to 4x4, {arithmetic}, {extractor.statistics}", features
    yield "pixels", "raw, in [-1, 1]", _pixels


def mirrored(features: Features) -> Features:
    """The mean of an image's features and those of its mirror: what of them does not tell left from right."""

    def of_both(images: np.ndarray, which: np.ndarray | None) -> torch.Tensor:
        seen = images if which is None else images[which]
        return features(seen, None).add_(features(np.ascontiguousarray(seen[:, :, ::-1]), None)).div_(2)

    return of_both


def untrained(discriminator: Discriminator, seed: int) -> Discriminator:
    """A discriminator of the same architecture with the weights that training begins with."""
    network = guided.untrained(discriminator.info.network, seed, next(discriminator.parameters()).device)
    return Discriminator(network, discriminator.info).eval()


def judged(job: Job, name: str, how: str, features: Features, device: torch.device) -> Row:
    """Choose C and test: one row. On the device if it is a GPU that holds all the features, else on the CPU."""
    began = time.monotonic()
    of_train, of_test = features(job.train.images, job.wanted), features(job.test.images, None)
    if has_room(device, of_train.nbytes + of_test.nbytes):
        of_train, of_test = of_train.to(device), of_test.to(device)
    if job.protocol.standardise:
        standardise_(of_train, of_test)
    squared = float(np.mean([piece.float().square().sum(1).mean().item() for piece in of_train.split(4096)]))
    cs = job.protocol.c or tuple(ratio / squared for ratio in RATIOS)
    space = Space(job, of_train, of_test, cs, name)
    errors, chosen, choice = space.with_all() if job.protocol.labels is None else space.with_few()
    if len(cs) > 1 and not job.protocol.c and {min(cs), max(cs)} & set(chosen):
        job.display.warn(f"{name}: the best C is at the end of those tried; --c names others")
    return _row(job, name, of_train.shape[1], errors, tuple(chosen), choice, how, began)


def judged_supervised(job: Job, discriminator: Discriminator) -> Row:
    """Random search by the first draw and the validation images; then the best trial on every draw."""
    began, protocol = time.monotonic(), job.protocol
    config, device = discriminator.info.network, next(discriminator.parameters()).device
    labels, of_test = labels_of(job.train), labels_of(job.test)

    def trained(which: np.ndarray, trial: Trial, seed: int, doing: str) -> Any:
        progress = job.display.counter(f"supervised: {doing},")
        images = job.train.images[which]
        return train_supervised(config, images, labels[which], job.classes, trial, seed, device, progress)

    tried = []
    for number in range(protocol.trials):
        trial = Trial.drawn(number, protocol.seed, config, protocol.augment)
        network = trained(job.draws[0], trial, protocol.seed, f"trial {number + 1} of {protocol.trials}")
        error = network.wrong(job.train.images[job.validation], labels[job.validation])
        tried.append((error, trial))
    best = min(tried, key=lambda one: one[0])[1]
    errors = []
    for i, draw in enumerate([job.wanted] if protocol.labels is None else job.draws):
        network = trained(draw, best, protocol.seed + i, f"draw {i + 1} of {len(job.draws)}")
        errors.append(network.wrong(job.test.images, of_test))
    how = f"D's convolutions and a linear layer, random search of {protocol.trials} trials"
    how += ", moved images among them" if protocol.augment else ""
    choice = [{**dataclasses.asdict(trial), "error": error} for error, trial in tried]
    return _row(job, "supervised", None, errors, (dataclasses.asdict(best),), choice, how, began)


def _row(
    job: Job,
    name: str,
    dimensions: int | None,
    errors: list[float],
    chosen: tuple[Any, ...],
    choice: list[dict[str, Any]],
    how: str,
    began: float,
) -> Row:
    spread, tests = Spread.of(errors), len(job.test.images)
    if spread.half is None:
        low, high = wilson(spread.mean * tests, tests)
        interval = "Wilson's, of the test images"
    else:
        low, high = spread.mean - spread.half, spread.mean + spread.half
        interval = f"of the mean of {len(errors)} draws, Student's t"
    return Row(
        features=name,
        dimensions=dimensions,
        error=spread.mean,
        low=low,
        high=high,
        interval=interval,
        deviation=spread.deviation,
        errors=tuple(errors),
        chosen=chosen,
        choice=tuple(choice),
        how=how,
        seconds=round(time.monotonic() - began, 1),
    )


def _facts(job: Job, discriminator: Discriminator, path: Path, precision: str) -> dict[str, Any]:
    """What all rows say alike."""
    return {
        **dataclasses.asdict(job.protocol),
        "labels": job.protocol.labels or len(job.wanted),
        "draws": len(job.draws),
        "validation": len(job.validation),
        "trained_on": len(job.draws[0]) if job.protocol.labels else len(job.wanted),
        "test": len(job.test.images),
        "classes": list(job.train.class_names),
        "train_images": job.train.source,
        "test_images": job.test.source,
        "run": printable(path),
        "images_shown": discriminator.info.trained.get("images"),
        "network": dataclasses.asdict(discriminator.info.network),
        "precision": precision,
        "svm": "L2-SVM: squared hinge, one against the rest, L2 of weights and bias; features "
        + ("averaged with those of the mirror image, " if job.protocol.mirror else "")
        + ("standardised" if job.protocol.standardise else "as they are"),
        "dcgan": dcgan.__version__,
    }


def _pixels(images: np.ndarray, which: np.ndarray | None) -> torch.Tensor:
    seen = images if which is None else images[which]
    return torch.tensor(np.asarray(seen)).flatten(1).half().div_(127.5).sub_(1)


def _percent(row: Row) -> str:
    return f"{100 * row.error:.2f} % ({100 * row.low:.2f} to {100 * row.high:.2f}), {row.seconds:.0f} s"
