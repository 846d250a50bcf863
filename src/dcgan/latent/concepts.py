"""Concepts: a few latents that have something in common, named by their numbers, by a class, or found for pictures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dcgan.data.pack import Pack
from dcgan.errors import InputError, printable
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.latent.attributes import (
    CONFIDENT,
    Pick,
    Reliability,
    class_number,
    classifier_of,
    labelled_images,
    pick,
    split,
)
from dcgan.latent.saved import generator_digest, read_projection
from dcgan.latents import MOST_SAMPLES, check_seed, latents
from dcgan.pretrained import Generator
from dcgan.progress import Display

DIGITS = 20
Picking = tuple[int, ...] | Path | str
"""Sample numbers, a file of `dcgan latent project`, or the name of a class."""


@dataclass(frozen=True, eq=False)
class Concept:
    """Latents z (k, latent_dim) that are averaged, and what they are in words."""

    name: str
    z: torch.Tensor
    labels: torch.Tensor | None = None
    """(k,) int64: the class each is drawn as, by a conditional generator."""
    numbers: tuple[int, ...] = ()
    """Which samples of the seed they are; none if they were found for pictures."""
    confidences: tuple[float, ...] = ()
    """How sure the classifier is of each, if one picked them."""

    @property
    def mean(self) -> torch.Tensor:
        """(latent_dim,); a single z is not stable [paper, section 6.3.2]."""
        return self.z.mean(0)

    @property
    def label(self) -> int | None:
        """The class that the mean is drawn as: the most frequent one, the first of equals."""
        return None if self.labels is None else Counter(self.labels.tolist()).most_common(1)[0][0]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "numbers": list(self.numbers),
            "confidences": [round(value, 6) for value in self.confidences],
            "labels": None if self.labels is None else self.labels.tolist(),
            "z": self.z.tolist(),
            "mean": self.mean.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Labelled:
    """The labelled images that classes are named after, and the classifier that picked samples by them."""

    images: Pack
    classifier: TrainedClassifier
    reliability: Reliability


def parse_picking(text: str) -> Picking:
    """ "3,17,42" → sample numbers; "photo.json" → a file; anything else, or "class:7" → a class.

    Raises InputError if nothing is named, or a number is too large.
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]+(\s*,\s*[0-9]+)*", text):
        numbers = [number.strip() for number in text.split(",")]
        if large := [number for number in numbers if len(number) > DIGITS or int(number) >= MOST_SAMPLES]:
            raise InputError(f"sample {large[0][:DIGITS]} is outside [0, 2^40)")
        return tuple(map(int, numbers))
    if text.lower().endswith(".json"):
        return Path(text)
    name = text.removeprefix("class:")
    if not name:
        raise InputError("no samples named: give numbers (3,17,42), a class, or a .json of dcgan latent project")
    return name


def by_numbers(generator: Generator, numbers: Sequence[int], seed: int, confidences: Sequence[float] = ()) -> Concept:
    """Samples of a seed, as `dcgan sample` numbers and draws them; InputError if there are none, or none such."""
    if len(numbers) < 1:
        raise InputError("no samples named: a concept wants one number or more")
    config = generator.info.network
    z = [latents(1, config.latent_dim, seed, number, config.latent) for number in numbers]
    labels = torch.tensor(numbers) % config.classes if config.classes else None
    name = f"samples {', '.join(map(str, numbers))}"
    return Concept(name, torch.cat(z), labels, tuple(numbers), tuple(confidences))


def from_picks(generator: Generator, name: str, picks: Sequence[Pick], seed: int) -> Concept:
    """Samples that a classifier picked, under the name of their class."""
    found = by_numbers(generator, [one.number for one in picks], seed, [one.confidence for one in picks])
    return Concept(name, found.z, found.labels, found.numbers, found.confidences)


def from_file(generator: Generator, path: Path, display: Display) -> Concept:
    """The z found for pictures; says so if that was for another generator."""
    found = read_projection(path, generator)
    if found.generator != generator_digest(generator):
        display.warn(f"{printable(path)}: these latents were found for other weights than this generator's")
    return Concept(path.name, found.z, found.labels)


def find_concepts(
    model: Path,
    generator: Generator,
    texts: Mapping[str, str],
    display: Display,
    *,
    samples: int,
    seed: int = 0,
    confidence: float = CONFIDENT,
    data: str | Path | None = None,
) -> tuple[list[Concept], Labelled | None]:
    """The concepts that the texts name, in order; for classes also the classifier that picked them.

    texts: option → text, see `parse_picking`. samples: how many of a class; the first of the seed, none of them twice
    and none that is named by its number. data: labelled images, by default the run's own. Raises InputError for what
    cannot be picked, before anything slow.
    """
    check_seed(seed)
    if samples < 1 or not 0 <= confidence <= 1:
        raise InputError(
            f"{samples} samples a concept at a confidence of {confidence:g}: wants 1 or more, a confidence in [0, 1]"
        )
    pickings: dict[str, Picking] = {}
    for option, text in texts.items():
        try:
            pickings[option] = parse_picking(text)
        except InputError as error:
            raise InputError(f"{option}: {error}") from error
    found = {
        option: by_numbers(generator, picking, seed)
        if isinstance(picking, tuple)
        else from_file(generator, picking, display)
        for option, picking in pickings.items()
        if not isinstance(picking, str)
    }
    names = {option: picking for option, picking in pickings.items() if isinstance(picking, str)}
    labelled = None
    if names:
        images = labelled_images(model, generator, data, display)
        labels = {option: _class_number(option, name, images) for option, name in names.items()}
        parts = split(images)
        labelled = Labelled(images, *classifier_of(parts.pick, parts.held_out, generator, display))
        counts = {label: samples * n for label, n in Counter(labels.values()).items()}
        taken = {number for concept in found.values() for number in concept.numbers}
        picked = pick(
            generator,
            labelled.classifier,
            counts,
            seed=seed,
            confidence=confidence,
            without=taken,
            progress=display.counter("picking", "samples"),
        )
        for option, label in labels.items():
            own, picked[label] = picked[label][:samples], picked[label][samples:]
            found[option] = from_picks(generator, names[option], own, seed)
    return [found[option] for option in texts], labelled


def _class_number(option: str, name: str, images: Pack) -> int:
    try:
        return class_number(name, images.class_names)
    except InputError as error:
        raise InputError(f"{option}: {error}") from error
