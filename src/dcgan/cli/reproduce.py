"""`dcgan reproduce`: the paper's tables and figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dcgan.cli import DONE, INTERRUPTED, say
from dcgan.errors import InputError, printable
from dcgan.reproduce import NAMES, find_name, reproduce


@dataclass(frozen=True)
class ReproduceOptions:
    """Do one of the paper's experiments: train what is missing, put our numbers beside the paper's, write them down.

    The same command goes on with what was interrupted.
    """

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME", help=f"Which: {', '.join(NAMES)}.")]
    scale: Annotated[
        Literal["small", "full"], tyro.conf.arg(help="small: for a laptop; full: the paper's settings, for a GPU.")
    ] = "small"
    data: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="The images, instead of what is taken for the paper's.")
    ] = None
    run: Annotated[
        Path | None, tyro.conf.arg(metavar="RUN", help="A trained run; if not given, one is trained in OUT/run.")
    ] = None
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="FOLDER", help="Where to write; reproductions/NAME if not given.")
    ] = None
    minutes: Annotated[float | None, tyro.conf.arg(metavar="X", help="Train for so long, not as planned.")] = None
    numbers: Annotated[
        str | None,
        tyro.conf.arg(metavar="LIST", help="How much is measured, not as planned: samples=10,trials=50; see the docs."),
    ] = None
    seed: Annotated[int, tyro.conf.arg(metavar="N", help="Of the training, the samples and the choices.")] = 0
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to compute.")] = "auto"
    classes: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="A,B,C",
            help="figure6: those that have it; figure7: of A - B + C; figure8: B,A for the way from A to B.",
        ),
    ] = None
    boxes: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="figure6: boxes around what is to be forgotten.")
    ] = None
    region: Annotated[
        str | None, tyro.conf.arg(metavar="T,L,H,W", help="figure6: where it is in every image, in pixels.")
    ] = None
    mask: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help="figure6: what finds it: loops, or module:function.")
    ] = None


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(ReproduceOptions, prog="dcgan reproduce", args=arguments)
    find_name(options.name)
    classes = None if options.classes is None else tuple(name.strip() for name in options.classes.split(","))
    settings: dict[str, Any] = {} if options.minutes is None else {"minutes": options.minutes}
    try:
        done = reproduce(
            options.name,
            scale=options.scale,
            data=options.data,
            run=options.run,
            out=options.out,
            seed=options.seed,
            device=options.device,
            options={
                "classes": classes,
                "boxes": options.boxes,
                "region": options.region,
                "mask": options.mask,
            },
            numbers=_numbers(options.numbers),
            **settings,
        )
    except KeyboardInterrupt as interrupt:
        if getattr(interrupt, "run", None) is None:
            raise
        say("stopped and saved; the same command goes on")
        return INTERRUPTED
    say(f"\n{done.experiment.title} ({done.scale})\n{done.table()}")
    for note in done.outcome.notes:
        say(f"- {printable(note)}")
    written = [f"{options.name}.md", f"{options.name}.json", *(path.name for path in done.files.values())]
    say(f"{printable(done.out)}: {', '.join(written)}")
    return DONE


def _numbers(text: str | None) -> dict[str, int]:
    """ "samples=10,trials=50" → {"samples": 10, "trials": 50}."""
    parts = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    if wrong := [name for name, _, number in parts if not re.fullmatch(r"\s*[0-9]{1,20}\s*", number)]:
        raise InputError(f"numbers: {printable(wrong[0])!r} has no whole number; wants NAME=N,NAME=N")
    return {name.strip(): int(number) for name, _, number in parts}
