"""Forgetting for a run, as the command does it: where the thing is, what is dropped, the picture, the numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dcgan.errors import InputError, nearest, printable
from dcgan.evaluation.classifier import load_classifier
from dcgan.evaluation.originals import originals
from dcgan.features.boxes import read_boxes
from dcgan.features.forget import Forgetting, Masks, Samples, doubling, drawn, forget, to_dict, without
from dcgan.features.forgotten import MOST, Forgotten, Judge, Look, forgotten, pixels, require_enough
from dcgan.features.masks import mask_named, parse_region
from dcgan.images import grid
from dcgan.pretrained import Generator
from dcgan.progress import Display

FORMAT = "dcgan-forget-1"
SAMPLES = 150
"""The paper's."""
COLUMNS = 10
LOOKED_AT = 50
"""Samples looked at for each that is shown."""


@dataclass(frozen=True)
class Thing:
    """What is to be forgotten: exactly one of a file of boxes, a region and the name of a mask says where it is."""

    boxes: Path | None = None
    region: str | None = None
    mask: str | None = None
    part: str | None = None
    """Classes that have it, by name, joined by commas: only samples that a classifier says are of them are used."""


@dataclass(frozen=True, eq=False)
class Forgot:
    """What came of it."""

    model: str
    thing: Thing
    samples: Samples
    forgetting: Forgetting
    edited: Generator
    shown: tuple[int, ...]
    """Numbers of the samples in the picture, of the next seed."""
    picture: np.ndarray
    """uint8 (H', W', C): rows of ten samples as drawn, and below each the same without the maps."""
    measured: Forgotten | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        thing = {k: None if v is None else str(v) for k, v in asdict(self.thing).items()}
        measured = None if self.measured is None else asdict(self.measured)
        samples = {**asdict(self.samples), "numbers": len(self.samples.numbers)}
        return {
            "format": FORMAT,
            "model": self.model,
            "thing": thing,
            "learned_from": samples,
            "shown": list(self.shown),
            **to_dict(self.forgetting),
            "measured": measured,
        }


def forget_run(
    model: str | Path,
    thing: Thing,
    *,
    data: str | None = None,
    samples: int | None = None,
    seed: int | None = None,
    label: int | str | None = None,
    truncation: float | None = None,
    scale: int = 2,
    maps: int | None = None,
    l2: float = 0.1,
    shown: int = 20,
    measure: int | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> Forgot:
    """Learn where the thing is from samples of a seed, drop its maps, and show and measure that on the next seed's.

    samples: how many, up to 100,000, by default 150; with boxes the file says which. measure: on how many samples, from
    100 to 100,000, if at all: the share that still has the thing, by the mask and by the classifier of `thing.part`,
    and what became of the rest (`forgotten`). shown: samples in the picture, up to 2,000: the first of the next seed
    that have the thing, by the same judges. data: what that classifier is trained on, by default the run's. Other
    options as of `forget`.
    Raises InputError for wrong input.
    """
    path, display = Path(model), Display(quiet=quiet)
    if sum(way is not None for way in (thing.boxes, thing.region, thing.mask)) != 1:
        raise InputError("say where the thing is by one of --boxes, --region and --mask")
    for name, count, most in (("samples", samples, MOST), ("shown", shown, MOST // LOOKED_AT)):
        if count is not None and not 1 <= count <= most:
            raise InputError(f"{name}: {count:,} is outside [1, {most:,}]")
    if measure is not None:
        require_enough(measure)
    generator = Generator.from_pretrained(path, device)
    doubling(generator.network, scale)
    with display:
        masks, chosen, found_by = _where(generator, thing, samples, seed, label, truncation)
        judges: dict[str, Judge] = {} if found_by is None else {f"the mask {thing.mask}": found_by}
        looks: dict[str, Look] = {"pixels": pixels}
        learn_from = masks
        if thing.part is not None:
            pack = originals(path, data).packed(generator.info.network, display)
            numbers = part_numbers(thing.part, pack.class_names)
            place = next(generator.parameters()).device
            classifier = load_classifier(pack, place, display.counter("training the classifier on"))

            def judge(images: np.ndarray) -> np.ndarray:
                return np.isin(classifier.predict(images)[0], numbers)

            judges[f"class {thing.part}"] = judge
            looks["classifier"] = lambda images: classifier.extractor()(images).features
            if thing.boxes is None:
                learn_from = _only(masks, judge)
        forgetting = forget(
            generator, chosen, learn_from, scale=scale, maps=maps, l2=l2, progress=display.counter("learning from")
        )
        edited = without(generator, forgetting)
        measured = None
        if measure is not None:
            measured = forgotten(
                generator,
                edited,
                masks,
                chosen if thing.boxes else None,
                judges,
                looks,
                samples=measure,
                seed=chosen.seed + 1,
                label=chosen.label,
                truncation=chosen.truncation,
                progress=display.counter("drawing"),
            )
        wanted = _with_it(generator, chosen, list(judges.values()), shown)
        pair = [np.concatenate([images for _, images, _ in drawn(g, wanted, scale)]) for g in (generator, edited)]
    return Forgot(printable(path), thing, chosen, forgetting, edited, wanted.numbers, side_by_side(*pair), measured)


def _with_it(generator: Generator, learned_from: Samples, judges: list[Judge], shown: int) -> Samples:
    """The first `shown` samples of the next seed that all judges find the thing in as they were drawn.

    Of the first 50 a picture, and if too few of those have it the first others too.
    """
    where = replace(learned_from, seed=learned_from.seed + 1)
    if not judges:
        return replace(where, numbers=tuple(range(shown)))
    images = generator.sample(LOOKED_AT * shown, where.seed, label=where.label, truncation=where.truncation)
    has = np.all([judge(images) for judge in judges], 0)
    return replace(where, numbers=tuple(np.sort(np.argsort(~has, kind="stable")[:shown]).tolist()))


def _where(
    generator: Generator,
    thing: Thing,
    samples: int | None,
    seed: int | None,
    label: int | str | None,
    truncation: float | None,
) -> tuple[Masks, Samples, Judge | None]:
    """The masks, the samples to learn from, and what finds the thing in any image if a mask does."""
    size = generator.info.network.size
    if thing.boxes is not None:
        if any(value is not None for value in (samples, seed, label, truncation)):
            raise InputError("boxes: their file says which samples; leave --samples, --seed, --class, --truncation out")
        boxes = read_boxes(thing.boxes, size)
        return boxes.masks, Samples(boxes.samples, _with_next(boxes.seed), boxes.label, boxes.truncation), None
    chosen = Samples(tuple(range(samples or SAMPLES)), _with_next(seed or 0), label, truncation)
    mask = mask_named(thing.mask) if thing.mask is not None else parse_region(str(thing.region), size)

    def found(images: np.ndarray) -> np.ndarray:
        return np.asarray(mask(images).any((1, 2)))

    return lambda _, images: mask(images), chosen, None if thing.mask is None else found


def _with_next(seed: int) -> int:
    """A seed that another one comes after, which is shown and measured; InputError for others."""
    if not 0 <= seed < 2**63 - 1:
        raise InputError(f"seed: {seed} is outside [0, 2^63 - 1)")
    return seed


def _only(masks: Masks, judge: Judge) -> Masks:
    """Masks that are empty in images without the part."""
    return lambda numbers, images: masks(numbers, images) & judge(images)[:, None, None]


def part_numbers(part: str, known: tuple[str, ...]) -> list[int]:
    """The numbers of classes given by name and joined by commas. InputError for unknown ones."""
    names = [name.strip() for name in part.split(",")]
    for name in names:
        if name not in known:
            raise InputError(f"part: no class {name!r}{nearest(name, known)} (there are: {', '.join(known) or 'none'})")
    return [known.index(name) for name in names]


def side_by_side(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Rows of up to ten images, uint8 (N, H, W, C), each with the row of the same images afterwards below it."""
    columns, rows = min(COLUMNS, len(before)), list[np.ndarray]()
    for start in range(0, len(before), columns):
        for images in (before, after):
            row = images[start : start + columns]
            rows += [row, np.zeros((columns - len(row), *row.shape[1:]), np.uint8)]
    return grid(np.concatenate(rows), columns)
