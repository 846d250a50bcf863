"""Figure 6: G forgets to draw an object; the paper's are the windows of bedrooms, in 52 boxes drawn by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from dcgan.errors import InputError
from dcgan.features.boxes import read_boxes
from dcgan.features.forget import doubling
from dcgan.features.forget_run import Forgot, Thing, forget_run
from dcgan.features.forgotten import require_enough
from dcgan.features.masks import mask_named, parse_region
from dcgan.networks import build_generator
from dcgan.reproduce.experiment import Experiment, Outcome, Row, percent
from dcgan.reproduce.job import Job
from dcgan.reproduce.photographs import BEDROOMS, plans

LOOPS = Thing(mask="loops", part="0,6,8,9")
"""What digits forget if nothing else is said: the loops of those that have some."""
WAYS = ("boxes", "region", "mask")
ALL = 10_000
"""Maps that may be dropped; more than there are is as the paper does it."""


def measure(job: Job) -> Outcome:
    """Find the maps that stand for it, drop them, and measure what is gone and what became of the rest."""
    require_enough(job.number("measure"))
    thing = _thing(job)
    _check(job, thing)
    run = job.trained()
    found = forget_run(
        run.path,
        thing,
        data=job.data if job.run_given is not None else None,
        samples=None if thing.boxes else job.number("samples"),
        seed=None if thing.boxes else job.seed,
        scale=job.number("scale"),
        maps=job.number("maps"),
        shown=job.number("shown"),
        measure=job.number("measure"),
        device=job.device,
        quiet=job.display.console.quiet,
    )
    return Outcome(
        rows=(*_learned(found), *_measured(found)),
        pictures={"Samples that have it as drawn, and below each row the same without the maps": found.picture},
        notes=(*job.notes(run), *_stand_in(thing)),
        protocol=job.protocol(run, **_where(thing), shown_and_measured=f"seed {found.samples.seed + 1}"),
        measured=found.to_dict(),
    )


def _thing(job: Job) -> Thing:
    """What is to be forgotten. InputError, before anything is trained, if it is not said, or there is no such thing."""
    given = {way: job.options[way] for way in WAYS if way in job.options}
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)}: say where the thing is in one way")
    part = ",".join(job.options["classes"]) if "classes" in job.options else None
    names = job.source().class_names
    if part is not None and not names:
        raise InputError("classes: the data has none")
    if unknown := [name for name in job.options.get("classes", ()) if name not in names]:
        raise InputError(f"classes: no class {unknown[0]!r} (there are: {', '.join(names)})")
    if not given:
        if set("0689") <= set(names):
            return LOOPS if part is None else replace(LOOPS, part=part)
        raise InputError(
            "figure6: say what is to be forgotten: --boxes FILE around it in samples of --run RUN, --region T,L,H,W of "
            "aligned images, or --mask NAME"
        )
    boxes = Path(given["boxes"]) if "boxes" in given else None
    return Thing(boxes, given.get("region"), given.get("mask"), part)


def _check(job: Job, thing: Thing) -> None:
    """Raise InputError, before anything is trained, for what is not inside its images and for maps that it has not."""
    network = job.settings(job.source()).network
    with torch.device("meta"):
        doubling(build_generator(network), job.number("scale"))
    if thing.mask is not None:
        mask_named(thing.mask)
    if thing.region is not None:
        parse_region(thing.region, network.size)
    if thing.boxes is not None:
        read_boxes(thing.boxes, network.size)


def _learned(found: Forgot) -> tuple[Row, ...]:
    told = found.forgetting
    return (
        Row("samples learned from", "150, 52 boxes", f"{told.images:,} with something in their masks"),
        Row("feature maps dropped", "200", f"{len(told.maps)} of {len(told.weights)}", len(told.maps)),
        Row("places told apart by the regression", "", percent(told.accuracy, 1), told.accuracy),
    )


def _measured(found: Forgot) -> tuple[Row, ...]:
    """What is gone, and what became of the rest, which the paper judges by eye."""
    measured = found.measured
    assert measured is not None
    rates = (
        Row(
            f"samples with it, by {rate.judge}",
            "most are gone",
            f"{percent(rate.before, 1)} → {percent(rate.after, 1)}: falls by {percent(rate.fall, 0)}",
            rate.fall,
        )
        for rate in measured.rates
    )
    distances = (
        Row(
            f"FID outside of it, {of.features}",
            "similar quality",
            f"{of.outside_floor:.4g} (as drawn) → {of.outside:.4g}; whole images {of.whole_floor:.4g} → {of.whole:.4g}",
            of.outside,
        )
        for of in measured.distances
    )
    change = measured.change
    moved = f"{change.inside:.1f} inside, {change.outside:.1f} outside"
    return (*rates, *distances, Row("change of a pixel, levels of 255", "", moved, change.outside))


def _stand_in(thing: Thing) -> tuple[str, ...]:
    if thing.mask == LOOPS.mask:
        of = "" if thing.part is None else f" of {thing.part.replace(',', ', ')}"
        return (f"stand-in: the loops{of}, found by a flood fill, in place of windows in boxes by hand",)
    return () if thing.boxes else ("stand-in: what is forgotten is found by a rule, not boxed by hand",)


def _where(thing: Thing) -> dict[str, str]:
    return {name: str(value) for name, value in vars(thing).items() if value is not None}


EXPERIMENT = Experiment(
    name="figure6",
    title="Figure 6: forgetting an object",
    data=BEDROOMS,
    genuine=("lsun-bedroom",),
    sources=("mnist",),
    plans=plans({"samples": 150, "scale": 2, "maps": ALL, "shown": 20, "measure": 2000}, full_epochs=5),
    measure=measure,
    options=("boxes", "region", "mask", "classes"),
)
