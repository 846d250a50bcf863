"""`dcgan features probe`: how much of the classes a linear SVM finds in D's features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dcgan.cli import DONE, say
from dcgan.errors import InputError, printable
from dcgan.files import require_new, write_json
from dcgan.values import brief

if TYPE_CHECKING:
    from dcgan.features.protocol import Probe

DIGITS = 20
"""Of the number of labels."""


@dataclass(frozen=True)
class ProbeOptions:
    """Test a linear SVM on D's features, beside those of a random D and raw pixels.

    The paper's Tables 1 (all labels) and 2 (--labels 1000).
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    data: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="Labelled images; if not given, those of the training.")
    ] = None
    test: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="Labelled test images; if not given, the test split.")
    ] = None
    labels: Annotated[
        str, tyro.conf.arg(metavar="N", help="How many labelled images, balanced over the classes; or all.")
    ] = "all"
    draws: Annotated[int, tyro.conf.arg(metavar="N", help="How often so many are drawn.")] = 10
    choose: Annotated[
        Literal["validation", "cv"],
        tyro.conf.arg(help="C by labelled images held out, as in the paper, or by cross-validation."),
    ] = "validation"
    validation: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="Images held out; 10,000, or a fifth if that is less.")
    ] = None
    folds: Annotated[int, tyro.conf.arg(metavar="N", help="Of cross-validation.")] = 5
    c: Annotated[
        str, tyro.conf.arg(metavar="LIST", help="C to choose from; if not given, seven by the features' size.")
    ] = ""
    standardise: Annotated[
        bool, tyro.conf.arg(help="Give each feature mean 0 and variance 1 over the training images.")
    ] = False
    mirror: Annotated[
        bool, tyro.conf.arg(help="Average each image's features with those of its mirror; for photographs.")
    ] = False
    supervised: Annotated[bool, tyro.conf.arg(help="Also train networks of D's architecture on the labels alone.")] = (
        False
    )
    trials: Annotated[int, tyro.conf.arg(metavar="N", help="Of their random search; 64 in the paper.")] = 16
    augment: Annotated[bool, tyro.conf.arg(help="Let them see their images moved by a few pixels.")] = False
    recalibrate: Annotated[
        bool, tyro.conf.arg(help="Batch norm statistics of D from DATA, even if it has running ones.")
    ] = False
    seed: Annotated[int, tyro.conf.arg(metavar="N", help="Of splits, draws, the random D and trials.")] = 0
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], tyro.conf.arg(help="Of the convolutions; auto: bf16 where it is fast.")
    ] = "auto"
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to look.")] = "auto"
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="Write everything to this file, row by row.")] = (
        None
    )


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(ProbeOptions, prog="dcgan features probe", args=arguments)
    labels = None if options.labels == "all" else _number(options.labels)
    cs = _numbers(options.c)
    require_new(options.json, option="--json")
    from dcgan.features.probe import probe
    from dcgan.features.protocol import Protocol

    def keep(result: Probe) -> None:
        if options.json:
            write_json(options.json, result.to_dict())

    result = probe(
        options.run,
        options.data,
        test=options.test,
        protocol=Protocol(
            labels=labels,
            draws=options.draws,
            choose=options.choose,
            c=cs,
            validation=options.validation,
            folds=options.folds,
            trials=options.trials,
            augment=options.augment,
            standardise=options.standardise,
            mirror=options.mirror,
            seed=options.seed,
        ),
        supervised=options.supervised,
        recalibrate=options.recalibrate,
        precision=options.precision,
        device=options.device,
        keep=keep,
    )
    say(table(result))
    keep(result)
    return DONE


def table(result: Probe) -> str:
    """The rows in columns, and below them what they are of."""
    lines = [f"{'features':<12} {'dimensions':>10} {'C':>9} {'error':>8} {'accuracy':>9}   95 % interval of the error"]
    for row in result.rows:
        first = row.chosen[0]
        c = "" if not isinstance(first, float) else f"{first:.2g}" if len(row.chosen) == 1 else "various"
        dimensions = "" if row.dimensions is None else f"{row.dimensions:,}"
        lines.append(
            f"{row.features:<12} {dimensions:>10} {c:>9} {row.error:>8.2%} {1 - row.error:>9.2%}   "
            f"{row.low:.2%} to {row.high:.2%}"
        )
    facts = result.protocol
    chosen = f"{facts['validation']:,} validation images" if facts["validation"] else f"{facts['folds']}-fold cv"
    number = f"{facts['trained_on']:,} labels"
    number += f", {facts['draws']} draws" if facts["draws"] > 1 else ""
    notes = dict.fromkeys(f"{row.features}: {row.how}" for row in result.rows)
    return "\n".join(
        [
            *lines,
            f"{number}; C by {chosen}; seed {facts['seed']}; intervals {result.rows[0].interval}",
            facts["svm"],
            f"train: {printable(facts['train_images'])}",
            f"test: {printable(facts['test_images'])}",
            *notes,
        ]
    )


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > DIGITS:
        raise InputError(f"labels: {brief(text)} is neither all nor a whole number of at most {DIGITS} digits")
    return int(text)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise InputError(f"c: {text!r} is not a list of numbers such as 1e-4,1e-3") from None
