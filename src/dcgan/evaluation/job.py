"""One evaluation on its way: what is measured, what each metric wants, and each group of scores with its protocol."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import dcgan
from dcgan import distributed
from dcgan.config import DataConfig
from dcgan.device import resolve_device
from dcgan.errors import InputError, printable
from dcgan.evaluation.choice import choose_extractor
from dcgan.evaluation.classifier import load_classifier
from dcgan.evaluation.extractors import Extractor
from dcgan.evaluation.fidelity import Estimate
from dcgan.evaluation.measure import Measure
from dcgan.evaluation.memorisation import Memorisation, in_training, memorisation, neighbour_grid
from dcgan.evaluation.metrics import check_number, compare
from dcgan.evaluation.neighbours import NeighbourScore, labelled_blocks, marks_up_to, real_control, scores_at
from dcgan.evaluation.originals import RealImages
from dcgan.evaluation.scores import Floor, Interval, Score
from dcgan.images import save_png
from dcgan.pretrained import Generator
from dcgan.progress import Display
from dcgan.run import Run

SHOWN = 8
"""Samples in the picture of neighbours: so many as they come, and as many suspects."""


@dataclass(frozen=True)
class Job:
    """What is measured, how it is drawn, and who looks at it."""

    generator: Generator
    real: RealImages
    name: str
    settings: DataConfig
    extractor: str
    weights: Path | None
    samples: int
    reference_samples: int | None
    seed: int
    truncation: float | None
    device: str
    precision: str
    display: Display

    def measure(self, metrics: Sequence[str]) -> Measure:
        """Of features, with the extractor and the real images' statistics at hand."""
        return Measure.of(
            self.real.train,
            metrics,
            extractor=self.extractor,
            weights=self.weights,
            samples=self.samples,
            reference_samples=self.reference_samples,
            seed=self.seed,
            truncation=self.truncation,
            device=self.device,
            precision=self.precision,
            display=self.display,
        )

    def choose(self) -> Extractor:
        """The extractor alone."""
        device = resolve_device(self.device)
        return choose_extractor(self.extractor, self.weights, self.real.train, device, self.precision, self.display)

    @functools.cached_property
    def protocol(self) -> dict[str, Any]:
        """What all its scores say alike."""
        network, shown = self.generator.info.network, self.generator.info.trained.get("images")
        return {
            "images": f"{network.size[0]}x{network.size[1]}x{network.image_channels}, {self.settings.resample}",
            "generator": self.name,
            "images_shown": shown if isinstance(shown, int) else None,
            "seed": self.seed,
            "truncation": self.truncation,
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "dcgan": dcgan.__version__,
        }


def check_needs(job: Job, metrics: Sequence[str]) -> None:
    """Raises InputError now, rather than when other metrics are done, for real images that one can do nothing with."""
    train, test, classes = job.real.train, job.real.test, job.generator.info.network.classes
    if "memorisation" in metrics and test is not None:
        check_number("test", len(test.images))
    if "1nn" not in metrics:
        return
    if test is None:
        raise InputError("1nn: wants held-out images, and these have no test split; name some with --test")
    if train.labels is None or test.labels is None or train.class_names != test.class_names:
        raise InputError(
            f"1nn: wants labels of the same classes for {printable(train.source)} and {printable(test.source)}"
        )
    there = len(train.class_names)
    if there != (wanted := classes or max(2, there)):
        raise InputError(f"1nn: wants images of {wanted} classes, and those of {printable(train.source)} have {there}")


def feature_scores(job: Job, measure: Measure) -> list[Score]:
    """FID and its kin, with the floor of the test split or of two parts of the reference."""
    extractor = measure.extractor
    fewest, side = min((measure.samples, "drawn"), (measure.real.statistics.count, "real"))
    if "fid" in measure.metrics and fewest <= extractor.dimensions:
        job.display.warn(
            f"fid: of {fewest:,} {side} images with {extractor.dimensions:,} features each it is far too high; "
            "compare it with nothing but FIDs of as many images, drawn and real"
        )
    drawn = measure.draw(job.generator, job.display.counter("drawing"))
    if not distributed.is_main():
        return []
    found = compare(measure.metrics, drawn, measure.real, measure.seed)
    floors, how = measure.floor(job.real.test, job.display.counter("looking at test"))
    return [
        Score(
            metric=metric,
            value=measured.estimate.value,
            interval=_interval(measured.estimate),
            floor=Floor(floors[metric].estimate.value, floors[metric].samples, how) if floors else None,
            samples=measured.samples,
            labels=None,
            reference_samples=measured.reference_samples,
            reference=job.real.train.source,
            split="train",
            **_of(extractor),
            **job.protocol,
        )
        for metric, measured in found.items()
    ]


def neighbour_scores(job: Job) -> Iterator[list[Score]]:
    """Table 3 at growing numbers of drawings, each when it is there; the floor is of as many real images, or all."""
    train, test, generator = job.real.train, job.real.test, job.generator
    assert test is not None  # of check_needs, as are the labels
    assert train.labels is not None
    assert test.labels is not None
    predict, labels_from = None, "the class asked for"
    if not generator.info.network.classes:
        device = next(generator.parameters()).device
        classifier = load_classifier(train, device, job.display.counter("training the classifier on"))
        predict, labels_from = classifier.predict, f"classifier {classifier.extractor().digest[:8]}"
    marks, most = marks_up_to(job.samples), len(train.images)
    controls: dict[int, NeighbourScore] = {}
    for n in dict.fromkeys(min(mark, most) for mark in marks):
        shown = job.display.counter(f"comparing with {n:,} real:")
        controls[n] = real_control(train.images, train.labels, test.images, test.labels, n, progress=shown)
    drawings = labelled_blocks(
        generator,
        job.samples,
        job.seed,
        predict=predict,
        truncation=job.truncation,
        precision=job.precision,
    )
    alike: dict[str, Any] = {
        "labels": labels_from,
        "reference_samples": len(test.images),
        "reference": test.source,
        "split": "test",
        **_pixels(job.precision),
        **job.protocol,
    }
    counter = job.display.counter("drawing and comparing")
    for found in scores_at(marks, drawings, test.images, test.labels, counter):
        interval = Interval(found.low, found.high, "Wilson's, of the test images")
        control = controls[min(found.references, most)]
        floor = functools.partial(Floor, samples=control.references, how="real training images")
        yield [
            Score("1nn", found.error, interval, floor(control.error), samples=found.references, **alike),
            Score("1nn_distance", found.distance, None, floor(control.distance), samples=found.references, **alike),
        ]


def memorisation_scores(job: Job, extractor: Extractor | None, run: Run | None) -> list[Score]:
    """Whether training images are drawn again, in pixels and in any features; with a picture in the run directory."""
    train, test = job.real.train, job.real.test
    drawn = job.generator.sample(job.samples, job.seed, truncation=job.truncation)
    held_out = None if test is None else test.images
    seen = None if held_out is None else in_training(held_out, train.images)
    comparing = functools.partial(job.display.counter, "comparing with training")
    pixels = memorisation(drawn, train.images, held_out, comparing(), seen=seen)
    rows = np.unique([*range(min(SHOWN, len(drawn))), *pixels.suspects[:SHOWN]])
    found, shown = [(pixels, _pixels("fp32"))], None
    if extractor:
        of_drawn, of_train = (
            extractor(images, job.display.counter(f"looking at {what}")).features
            for images, what in ((drawn, "drawn"), (train.images, "training"))
        )
        of_test = None if held_out is None else extractor(held_out, job.display.counter("looking at test")).features
        features = memorisation(of_drawn, of_train, of_test, comparing(), learned=extractor.learned, seen=seen)
        found, shown = [*found, (features, _of(extractor))], (of_drawn[rows], of_train)
    if run:
        save_png(run.path / "memorisation.png", neighbour_grid(drawn[rows], train.images, features=shown))
        job.display.say(f"{run.path / 'memorisation.png'}: samples, each with its nearest training images")
    for one, _ in found:
        job.display.say(f"memorisation, {one.space}: {one.reading}")
    return [score for one, how in found for score in _contrast(job, one, how)]


def _contrast(job: Job, found: Memorisation, how: dict[str, Any]) -> list[Score]:
    """The numbers of one space; the floor is what held-out images give."""
    contrast, space = found.contrast, "" if found.space == "pixels" else "_features"
    alike: dict[str, Any] = {
        "samples": found.samples,
        "labels": None,
        "reference_samples": found.train,
        "reference": job.real.train.source,
        "split": "train",
        **how,
        **job.protocol,
    }
    if contrast is None:
        return [Score(f"nearest_training{space}", found.median, None, None, **alike)]
    held_out = functools.partial(Floor, samples=contrast.held_out, how="held-out images")
    by_chance = "of a random choice of held-out images"
    return [
        Score(f"nearest_training{space}", found.median, None, held_out(contrast.median), **alike),
        *(
            Score(f"{name}{space}", share, Interval(*interval, by_chance), held_out(0.0), **alike)
            for name, (share, interval) in contrast.shares.items()
        ),
    ]


def _of(extractor: Extractor) -> dict[str, Any]:
    names = {"extractor": "name", "digest": "digest", "resize": "resize", "precision": "precision"}
    return {field: getattr(extractor, name) for field, name in names.items()}


def _pixels(precision: str) -> dict[str, Any]:
    return {"extractor": "pixels", "digest": "", "resize": "none", "precision": precision}


def _interval(estimate: Estimate) -> Interval | None:
    if estimate.low is None or estimate.high is None:
        return None
    return Interval(estimate.low, estimate.high, estimate.how)
