""" "smiling - neutral + neutral' smiles", measured: many arithmetics on samples that no two of them share.

One classifier picks the samples and another one, trained on other images, judges what comes out, what went in, and
what the same arithmetic makes of the pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dcgan.errors import InputError, printable
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.evaluation.intervals import wilson
from dcgan.latent.arithmetic import (
    AROUND,
    CENTRE,
    NOISE,
    around,
    check_noise,
    mean_as_drawn,
    noise_of,
    pixel_arithmetic,
    result,
)
from dcgan.latent.attributes import (
    CONFIDENT,
    SCANNED,
    Reliability,
    class_number,
    classifier_of,
    labelled_images,
    pick,
    split,
)
from dcgan.latent.concepts import Concept, from_picks
from dcgan.pretrained import Generator
from dcgan.progress import Counter as Show
from dcgan.progress import Display

TRIALS, SAMPLES = 200, 3
TOGETHER = 20
"""Trials that are drawn at once: alone each would fill whole batches with a few images."""
_SHUFFLE = 0x5417


@dataclass(frozen=True)
class Share:
    """How many of n are of the class, with Wilson's 95 % interval."""

    value: float
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, hits: np.ndarray) -> Share:
        """Of booleans (trials,) or (trials, m). Only trials count as independent: the m of one vary together."""
        trials, share = len(hits), float(hits.mean())
        return cls(share, hits.size, *wilson(share * trials, trials))

    def __str__(self) -> str:
        return f"{self.value:6.1%} of {self.n:,} ({self.low:.1%} to {self.high:.1%})"


@dataclass(frozen=True)
class Claim:
    """What share of the images is of A's class, by the judge."""

    classes: tuple[str, str, str]
    """Of A, B and C; "of the class" below means A's."""
    trials: int
    samples: int
    """Averaged for a concept."""
    noise: float
    seed: int
    confidence: float
    centres: Share
    """A - B + C."""
    all_nine: Share
    """With the eight neighbours of each."""
    inputs: Share
    """What C's mean z draws."""
    input_samples: Share
    """C's samples."""
    a_samples: Share
    a_means: Share
    pixel_results: Share
    """A - B + C of the mean images."""
    pixel_inputs: Share
    """C's mean images."""
    picker: Reliability
    judge: Reliability

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"picker_accuracy": self.picker.accuracy, "judge_accuracy": self.judge.accuracy}

    def lines(self) -> list[str]:
        """A table for people."""
        a, b, c = map(printable, self.classes)
        return [
            f"share judged {a!r}, in {self.trials:,} trials of {a} - {b} + {c}, {self.samples} samples each:",
            f"  results                     {self.centres}",
            f"  results and neighbours      {self.all_nine}",
            f"  inputs C, mean z            {self.inputs}",
            f"  inputs C, samples           {self.input_samples}",
            f"  inputs A, mean z            {self.a_means}",
            f"  inputs A, samples           {self.a_samples}",
            f"  control: pixels A - B + C   {self.pixel_results}",
            f"  control: pixels, mean of C  {self.pixel_inputs}",
            f"the judge: {self.judge}",
            f"the picker: {self.picker}",
        ]


def trials(
    model: str | Path,
    classes: Sequence[str],
    *,
    generator: Generator | None = None,
    number: int = TRIALS,
    samples: int = SAMPLES,
    noise: float = NOISE,
    seed: int = 0,
    confidence: float = CONFIDENT,
    data: str | Path | None = None,
    device: str = "auto",
    display: Display | None = None,
) -> Claim:
    """Measure how often A - B + C is of A's class, for three classes of labelled images.

    model: a run directory, or a generator with `data`: the labelled images, by default the run's own.
    number: of trials; no sample is in two of them. Raises InputError for wrong input.
    """
    if number < 1 or samples < 1:
        raise InputError(f"{number} trials of {samples} samples: wants 1 or more of both")
    check_noise(noise)
    display = display or Display(quiet=True)
    generator = generator or Generator.from_pretrained(model, device)
    images = labelled_images(Path(model), generator, data, display)
    labels = [class_number(name, images.class_names) for name in classes]
    parts = split(images)
    picker, picker_tested = classifier_of(parts.pick, parts.held_out, generator, display)
    concepts = disjoint_concepts(
        generator,
        picker,
        labels,
        number,
        samples,
        seed=seed,
        confidence=confidence,
        progress=display.counter("picking", "samples"),
    )
    judge, judge_tested = classifier_of(parts.judge, parts.held_out, generator, display)
    shares = measure(generator, judge, concepts, labels[0], noise, seed, display.counter("calculating", "trials"))
    a, b, c = classes
    return Claim(
        (a, b, c), number, samples, noise, seed, confidence, **shares, picker=picker_tested, judge=judge_tested
    )


def disjoint_concepts(
    generator: Generator,
    picker: TrainedClassifier,
    labels: Sequence[int],
    number: int,
    samples: int,
    *,
    seed: int,
    confidence: float,
    progress: Show | None = None,
) -> list[tuple[Concept, ...]]:
    """So many trials' concepts of the classes `labels`, dealt at random from all that is picked; no sample twice."""
    counts = {label: number * samples * n for label, n in Counter(labels).items()}
    most = max(SCANNED, 20 * sum(counts.values()))
    found = pick(generator, picker, counts, seed=seed, confidence=confidence, most=most, progress=progress)
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, _SHUFFLE], np.uint64)))
    hands = {label: iter([picks[i] for i in rng.permutation(len(picks))]) for label, picks in found.items()}
    return [
        tuple(
            from_picks(generator, picker.class_names[label], [next(hands[label]) for _ in range(samples)], seed)
            for label in labels
        )
        for _ in range(number)
    ]


def measure(
    generator: Generator,
    judge: TrainedClassifier,
    concepts: Sequence[tuple[Concept, ...]],
    label: int,
    noise: float,
    seed: int,
    progress: Show | None = None,
) -> dict[str, Share]:
    """The shares of `Claim` for trials of three concepts each; `label` is A's class."""
    rng = noise_of(seed)
    hits: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(concepts), TOGETHER):
        some = concepts[start : start + TOGETHER]
        for name, images in _drawn(generator, some, noise, rng).items():
            seen = judge.predict(images.reshape(-1, *images.shape[2:]))[0] == label
            hits.setdefault(name, []).append(seen.reshape(images.shape[:2]))
        if progress:
            progress(start + len(some), len(concepts))
    return {name: Share.of(np.concatenate(parts)) for name, parts in hits.items()}


def _drawn(
    generator: Generator, concepts: Sequence[tuple[Concept, ...]], noise: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The images of some trials that are to be judged, uint8 (trials, m, H, W, C) each."""
    distribution = generator.info.network.latent

    def draw(z: list[torch.Tensor], labels: list[torch.Tensor | None]) -> np.ndarray:
        known = [some for some in labels if some is not None]
        images = generator.draw(torch.cat(z), torch.cat(known) if known else None)
        return images.reshape(len(z), -1, *images.shape[1:])

    def means(which: int) -> np.ndarray:
        chosen = [trial[which] for trial in concepts]
        return draw([mean_as_drawn(one, distribution)[None] for one in chosen], [_labels(one, 1) for one in chosen])

    def samples(which: int) -> np.ndarray:
        return draw([trial[which].z for trial in concepts], [trial[which].labels for trial in concepts])

    results = draw(
        [around(result(a, b, c, distribution), noise, rng) for a, b, c in concepts],
        [_labels(c, AROUND) for _, _, c in concepts],
    )
    sources = [samples(which) for which in range(3)]
    return {
        "centres": results[:, CENTRE : CENTRE + 1],
        "all_nine": results,
        "inputs": means(2),
        "input_samples": sources[2],
        "a_samples": sources[0],
        "a_means": means(0),
        "pixel_results": np.stack([pixel_arithmetic(*trial)[None] for trial in zip(*sources, strict=True)]),
        "pixel_inputs": np.rint(sources[2].mean(1, keepdims=True)).astype(np.uint8),
    }


def _labels(concept: Concept, n: int) -> torch.Tensor | None:
    return None if concept.label is None else torch.full((n,), concept.label)
