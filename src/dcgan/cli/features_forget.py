"""`dcgan features forget`: drop what G draws somewhere, and the maps that stand for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dcgan.cli import DONE, say
from dcgan.errors import InputError, printable
from dcgan.files import require_new, write_json, writing

if TYPE_CHECKING:
    from dcgan.features.forgotten import Forgotten


@dataclass(frozen=True)
class ForgetOptions:
    """Draw samples with and without the maps that stand for something in them (Figure 6).

    Say what to forget with one of --boxes, --region or --mask. The picture: rows as drawn, below each the same without.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", help="The picture, a .png.")]
    boxes: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="Boxes drawn by hand in samples, JSON; see docs/features.md.")
    ] = None
    region: Annotated[
        str | None,
        tyro.conf.arg(metavar="T,L,H,W", help="The same box in all samples, of aligned images: top,left,height,width."),
    ] = None
    mask: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME",
            help="Found by a function: loops (of bright strokes), or module:function of your own, which is imported.",
        ),
    ] = None
    part: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CLASSES",
            help="Classes of the data that have the thing, such as smiling or 0,6,8,9: a classifier trained on them "
            "picks the samples that the region or mask is looked for in, and measures.",
        ),
    ] = None
    data: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="The images for --part; if not given, those of the training.")
    ] = None
    samples: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="Learn from the first N samples; 150 as in the paper.")
    ] = None
    seed: Annotated[int | None, tyro.conf.arg(metavar="N", help="Of these; what is shown is of the next. 0.")] = None
    label: Annotated[
        str | None, tyro.conf.arg(name="class", metavar="K", help="Class number or name; else all in turn.")
    ] = None
    truncation: Annotated[float | None, tyro.conf.arg(metavar="T", help="Keep z within ±T.")] = None
    scale: Annotated[
        int, tyro.conf.arg(metavar="S", help="Of the maps: 2 are half the image's size, 4 a quarter, and so on.")
    ] = 2
    maps: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="Drop at most N maps, of the largest weights; else all positive.")
    ] = None
    l2: Annotated[float, tyro.conf.arg(metavar="L", help="Regularisation of the logistic regression.")] = 0.1
    shown: Annotated[int, tyro.conf.arg(metavar="N", help="Samples in the picture.")] = 20
    measure: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="Measure what is gone and what became of the rest, on N samples.")
    ] = None
    save_run: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help="Write the generator without the maps as a run directory.")
    ] = None
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to draw.")] = "auto"
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="Write maps, weights and measurements.")] = None


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(ForgetOptions, prog="dcgan features forget", args=arguments)
    require_new(options.out, options.json, options.save_run, folders=False)
    if options.out.suffix.lower() != ".png":
        raise InputError(f"out: {options.out} is no .png")
    from dcgan.features.forget import save_run
    from dcgan.features.forget_run import Thing, forget_run
    from dcgan.images import save_png

    found = forget_run(
        options.run,
        Thing(options.boxes, options.region, options.mask, options.part),
        data=options.data,
        samples=options.samples,
        seed=options.seed,
        label=options.label,
        truncation=options.truncation,
        scale=options.scale,
        maps=options.maps,
        l2=options.l2,
        shown=options.shown,
        measure=options.measure,
        device=options.device,
    )
    with writing(options.out):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        save_png(options.out, found.picture)
    if options.json:
        write_json(options.json, found.to_dict())
    if options.save_run:
        save_run(found.edited, options.run, options.save_run)
        say(f"{printable(options.save_run)}: the generator without the maps")
    told = found.forgetting
    say(
        f"{printable(options.out)}: {len(told.maps)} of {len(told.weights)} maps dropped, by {told.places:,} places in "
        f"{told.images:,} samples ({told.accuracy:.0%} told apart)"
    )
    if found.measured:
        say(table(found.measured))
    return DONE


def table(found: Forgotten) -> str:
    """What was measured, as lines."""
    lines = [f"{'of ' + format(found.samples, ',') + f' samples, seed {found.seed}':<34} {'drawn':>9} {'without':>9}"]
    for rate in found.rates:
        low, high = rate.interval
        lines.append(
            f"{'share with ' + printable(rate.judge):<34} {rate.before:>9.1%} {rate.after:>9.1%}   "
            f"({low:.1%} to {high:.1%}): falls by {rate.fall:.0%}"
        )
    for of in found.distances:
        lines += [
            f"{f'FID outside, {of.features}':<34} {of.outside_floor:>9.4g} {of.outside:>9.4g}",
            f"{f'FID of whole images, {of.features}':<34} {of.whole_floor:>9.4g} {of.whole:>9.4g}",
        ]
    change = found.change
    lines.append(f"a pixel changes by {change.inside:.1f} levels of 255 inside, by {change.outside:.1f} outside")
    return "\n".join(lines)
