"""Measuring a generator: `Measure` is prepared once and used many times, `evaluate` writes everything down."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import dcgan
from dcgan.config import DataConfig
from dcgan.data.pack import Pack, Progress
from dcgan.device import resolve_device
from dcgan.errors import InputError, printable
from dcgan.evaluation.choice import choose_extractor
from dcgan.evaluation.extractors import Extractor, Features, joined
from dcgan.evaluation.fidelity import Estimate
from dcgan.evaluation.metrics import DEFAULT_METRICS, Measured, check_metrics, compare
from dcgan.evaluation.reference import KEPT, RealImages, Reference, real_images, reference
from dcgan.evaluation.scores import Floor, Interval, Score, append, require_appendable
from dcgan.pretrained import Generator
from dcgan.progress import Display
from dcgan.run import Run

FEWEST = 20


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
        check_metrics(metrics)
        display = display or Display(quiet=True)
        number = len(train.images) if reference_samples is None else reference_samples
        for name, value in (("samples", samples), ("reference", number)):
            if value < FEWEST:
                raise InputError(f"{name}: {value} images say nothing; at least {FEWEST}")
        if number > len(train.images):
            raise InputError(f"reference: there are only {len(train.images):,} real images, not {number:,}")
        chosen = choose_extractor(extractor, weights, train, resolve_device(device), precision, display)
        check_metrics(metrics, chosen)  # before the real images are looked at, which may take an hour
        real = reference(train, chosen, number, display.counter("looking at real"))
        return cls(chosen, real, metrics, samples, seed, truncation)

    def __call__(self, generator: Generator) -> dict[str, float]:
        """The values by name, without intervals."""
        drawn = self.draw(generator)
        found = compare(self.metrics, drawn, self.real, self.seed, intervals=False)
        return {name: measured.estimate.value for name, measured in found.items()}

    def draw(self, generator: Generator, progress: Progress | None = None) -> Features:
        """Features of the generator's images 0 … samples - 1 of the seed; classes, if it has any, in turn."""
        pieces = generator.stream(self.samples, self.seed, truncation=self.truncation)
        return joined(list(self.extractor.stream(pieces, progress, self.samples)))

    def floor(self, test: Pack | None, progress: Progress | None = None) -> tuple[dict[str, Measured], str]:
        """The same metrics of real images, as many as are drawn or there are, and in words which images.

        Those of the test split against the reference; without one, a half of the reference against the other.
        Empty if they are too few.
        """
        kept = len(self.real.kept.features)
        number = kept // 2 if test is None else min(self.samples, len(test.images), KEPT)
        if number < FEWEST:
            return {}, ""
        if test is None:
            drawn, real = self.real.halves()
            how = f"one half of {kept:,} reference images against the other"
        else:
            drawn, real = reference(test, self.extractor, number, progress).kept, self.real
            how = f"test images ({test.source})"
        return compare(self.metrics, drawn, real, self.seed, intervals=False), how


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
    split if there is one. metrics: of fid, kid, prc (precision, recall), dc (density, coverage), isc. extractor:
    auto, inception, dinov2 or classifier; weights: its file. reference_samples: real images to compare with, by
    default all. json: a file to add the scores to, a line each. Raises InputError for wrong input.
    """
    check_metrics(metrics)
    display = Display(quiet=quiet)
    path = Path(model)
    generator = Generator.from_pretrained(path, device)
    run = Run.open(path) if (path / "config.yaml").is_file() else None
    files = [*([run.path / "evaluation.jsonl"] if run else []), *([Path(json)] if json else [])]
    for file in files:
        require_appendable(file)
    with display:
        settings = _data_settings(run, data)
        real = real_images(generator.info.network, settings, test, display)
        if run and data is None and run.data.get("key") != real.train.key:
            raise InputError(
                f"{run}: the images of {printable(settings.data)} are not those it was trained on; "
                "name with --data which to compare with"
            )
        measure = Measure.of(
            real.train,
            metrics,
            extractor=extractor,
            weights=Path(weights) if weights else None,
            samples=samples,
            reference_samples=reference_samples,
            seed=seed,
            truncation=truncation,
            device=device,
            precision=precision,
            display=display,
        )
        scores = _scores(measure, generator, real, printable(path), settings, display)
    for file in files:
        append(scores, file)
    return scores


def _data_settings(run: Run | None, data: str | Path | None) -> DataConfig:
    """Where the real images are and how they are prepared: as the run did it."""
    settings = run.config.data if run else DataConfig()
    if data is not None:
        # A Path is never the name of a set.
        return replace(settings, data=str(data.expanduser().resolve()) if isinstance(data, Path) else data)
    if run is None:
        raise InputError("data: a weights file does not say what it was trained on; name the real images with --data")
    return settings


def _scores(
    measure: Measure, generator: Generator, real: RealImages, name: str, settings: DataConfig, display: Display
) -> list[Score]:
    network, extractor = generator.info.network, measure.extractor
    if "fid" in measure.metrics and measure.samples <= extractor.dimensions:
        display.warn(
            f"fid: of {measure.samples:,} images with {extractor.dimensions:,} features each it is far too high; "
            "compare it with nothing but the floor"
        )
    drawn = measure.draw(generator, display.counter("drawing"))
    found = compare(measure.metrics, drawn, measure.real, measure.seed)
    floors, how = measure.floor(real.test, display.counter("looking at test"))
    shown = generator.info.trained.get("images")
    return [
        Score(
            metric=metric,
            value=measured.estimate.value,
            interval=_interval(measured.estimate),
            floor=Floor(floors[metric].estimate.value, floors[metric].samples, how) if floors else None,
            samples=measured.samples,
            reference_samples=measured.reference_samples,
            reference=real.train.source,
            split="train",
            images=f"{network.size[0]}x{network.size[1]}x{network.image_channels}, {settings.resample}",
            extractor=extractor.name,
            digest=extractor.digest,
            resize=extractor.resize,
            precision=extractor.precision,
            generator=name,
            images_shown=shown if isinstance(shown, int) else None,
            seed=measure.seed,
            truncation=measure.truncation,
            when=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            dcgan=dcgan.__version__,
        )
        for metric, measured in found.items()
    ]


def _interval(estimate: Estimate) -> Interval | None:
    if estimate.low is None or estimate.high is None:
        return None
    return Interval(estimate.low, estimate.high, estimate.how)
