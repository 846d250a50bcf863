"""`evaluate`: everything that can be measured of a trained generator, each score with its protocol, written down."""

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
from dcgan.evaluation.memorisation import Memorisation, memorisation, neighbour_grid
from dcgan.evaluation.metrics import DEFAULT_METRICS, FEWEST, OF_FEATURES, check_metrics, check_number, compare
from dcgan.evaluation.neighbours import labelled_blocks, marks_up_to, nearest_neighbour_test, real_control
from dcgan.evaluation.originals import RealImages, originals
from dcgan.evaluation.scores import Floor, Interval, Score, append, require_appendable
from dcgan.images import save_png
from dcgan.latents import check_draw
from dcgan.pretrained import Generator
from dcgan.progress import Display
from dcgan.run import Run

SHOWN = 8
"""Samples in the picture of neighbours: so many as they come, and as many suspects."""


def evaluate(
    model: str | Path,
    data: str | Path | None = None,
    *,
    test: str | Path | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    extractor: str = "auto",
    weights: str | Path | None = None,
    samples: int = 10_000,
    reference_samples: int | None = None,
    seed: int = 0,
    truncation: float | None = None,
    device: str = "auto",
    precision: str = "fp32",
    json: str | Path | None = None,
    quiet: bool = False,
) -> list[Score]:
    """How near a generator's images are to real ones; each score with its interval, floor and protocol.

    model: a run directory, whose scores are also added to its evaluation.jsonl, or a generator.safetensors.
    data: the real images; by default those that the run was trained on. test: held-out ones, by default the test
    split if there is one. metrics: of fid, kid, prc (precision, recall), dc (density, coverage), isc, 1nn (the paper's
    Table 3, at 1,000, 10,000, … up to `samples` drawings) and memorisation (also a picture, memorisation.png, in a run
    directory). extractor: auto, inception, dinov2 or classifier; weights: its file. reference_samples: real images to
    compare with, by default all. precision: of the extractor, and of the drawings of 1nn. json: a file to add the
    scores to, a line each. In both files features' scores, 1nn's and memorisation's are as soon as they are there.
    Raises InputError for wrong input. Processes started by torchrun share the drawing and
    looking of the metrics of features; the rest is done by the main one, which alone has the scores.
    """
    check_metrics(metrics)
    check_number("samples", samples, 1 if set(metrics) == {"1nn"} else FEWEST)
    check_number("reference", FEWEST if reference_samples is None else reference_samples)
    check_draw(seed, truncation)
    with distributed.joined(device):
        display = Display(quiet=quiet or not distributed.is_main())
        how = (extractor, weights, samples, reference_samples, seed, truncation, device, precision)
        return _evaluate(model, data, test, metrics, how, json, display)


def _evaluate(
    model: str | Path,
    data: str | Path | None,
    test: str | Path | None,
    metrics: Sequence[str],
    how: tuple[Any, ...],
    json: str | Path | None,
    display: Display,
) -> list[Score]:
    _, _, samples, _, seed, truncation, device, precision = how
    path = Path(model)
    generator = Generator.from_pretrained(path, device)
    run = Run.open(path) if (path / "config.yaml").is_file() else None
    if run:
        run.require_no_links()
    files = [*([run.path / "evaluation.jsonl"] if run else []), *([Path(json)] if json else [])]
    for file in files:
        require_appendable(file)
    with display:
        source = originals(path, data)
        with distributed.in_turn():
            real = source.splits(generator.info.network, test, display)
        job = Job(generator, real, printable(path), source.settings, samples, seed, truncation, precision, display)
        check_needs(job, metrics)
        scores: list[Score] = []
        try:
            for group in _groups(job, metrics, how, run):
                for file in files:
                    append(group, file)  # at once: what is done is kept, whatever becomes of the rest
                scores += group
        except BaseException:
            if scores:
                display.say("done before that: " + " · ".join(f"{score.metric} {score.value:.4g}" for score in scores))
            raise
    return scores


def _groups(job: Job, metrics: Sequence[str], how: tuple[Any, ...], run: Run | None) -> Iterator[list[Score]]:
    """Those of features, of Table 3 and of memorisation, as each is ready; in the main process alone."""
    extractor, weights, samples, reference_samples, seed, truncation, device, precision = how
    weights_file = Path(weights) if weights else None
    chosen: Extractor | None = None
    if by_features := [name for name in metrics if name in OF_FEATURES]:
        with distributed.in_turn():
            measure = Measure.of(
                job.real.train,
                by_features,
                extractor=extractor,
                weights=weights_file,
                samples=samples,
                reference_samples=reference_samples,
                seed=seed,
                truncation=truncation,
                device=device,
                precision=precision,
                display=job.display,
            )
        found = feature_scores(job, measure)
        if distributed.is_main():
            yield found
        chosen = measure.extractor
    if not distributed.is_main():
        return
    if "memorisation" in metrics and not chosen:  # now: it can be refused
        chosen = choose_extractor(
            extractor, weights_file, job.real.train, resolve_device(device), precision, job.display
        )
    if "1nn" in metrics:
        yield neighbour_scores(job)
    if "memorisation" in metrics and chosen:
        yield memorisation_scores(job, chosen, run)


@dataclass(frozen=True)
class Job:
    """What is measured, and how it is drawn."""

    generator: Generator
    real: RealImages
    name: str
    settings: DataConfig
    samples: int
    seed: int
    truncation: float | None
    precision: str
    display: Display

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
    """FID and its kin, with the floor of the test split or of two halves."""
    extractor = measure.extractor
    if "fid" in measure.metrics and measure.samples <= extractor.dimensions:
        job.display.warn(
            f"fid: of {measure.samples:,} images with {extractor.dimensions:,} features each it is far too high; "
            "compare it with nothing but the floor"
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


def neighbour_scores(job: Job) -> list[Score]:
    """Table 3 at growing numbers of drawings; the floor is the same with as many real training images, or all."""
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
    controls = {
        n: real_control(train.images, train.labels, test.images, test.labels, n)
        for n in dict.fromkeys(min(mark, most) for mark in marks)
    }
    result = nearest_neighbour_test(
        labelled_blocks(
            generator,
            job.samples,
            job.seed,
            predict=predict,
            truncation=job.truncation,
            precision=job.precision,
        ),
        test.images,
        test.labels,
        marks,
        "classifier" if predict else "class",
        job.display.counter("drawing and comparing"),
    )
    alike: dict[str, Any] = {
        "labels": labels_from,
        "reference_samples": len(test.images),
        "reference": test.source,
        "split": "test",
        **_pixels(job.precision),
        **job.protocol,
    }
    scores = []
    for found in result.scores:
        interval = Interval(found.low, found.high, "Wilson's, of the test images")
        control = controls[min(found.references, most)]
        floor = functools.partial(Floor, samples=control.references, how="real training images")
        scores += [
            Score("1nn", found.error, interval, floor(control.error), samples=found.references, **alike),
            Score("1nn_distance", found.distance, None, floor(control.distance), samples=found.references, **alike),
        ]
    return scores


def memorisation_scores(job: Job, extractor: Extractor, run: Run | None) -> list[Score]:
    """Whether training images are drawn again, in pixels and in features; with a picture in the run directory."""
    train, test = job.real.train, job.real.test
    drawn = job.generator.sample(job.samples, job.seed, truncation=job.truncation)
    held_out = None if test is None else test.images
    pixels = memorisation(drawn, train.images, held_out, job.display.counter("comparing with training"))
    of_drawn, of_train = (
        extractor(images, job.display.counter(f"looking at {what}")).features
        for images, what in ((drawn, "drawn"), (train.images, "training"))
    )
    of_held_out = None if held_out is None else extractor(held_out, job.display.counter("looking at test")).features
    comparing = job.display.counter("comparing with training")
    features = memorisation(of_drawn, of_train, of_held_out, comparing, learned=extractor.learned)
    if run:
        rows = np.unique([*range(min(SHOWN, len(drawn))), *pixels.suspects[:SHOWN]])
        picture = neighbour_grid(drawn[rows], train.images, features=(of_drawn[rows], of_train))
        save_png(run.path / "memorisation.png", picture)
        job.display.say(f"{run.path / 'memorisation.png'}: samples, each with its nearest training images")
    for found in (pixels, features):
        job.display.say(f"memorisation, {found.space}: {found.reading}")
    return [*_contrast(job, pixels, _pixels("fp32")), *_contrast(job, features, _of(extractor))]


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
