"""`dcgan evaluate`: how near a generator's images are to real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dcgan import distributed
from dcgan.cli import DONE, say
from dcgan.errors import printable

if TYPE_CHECKING:
    from dcgan.evaluation.scores import Score


@dataclass(frozen=True)
class EvaluateOptions:
    """Compare drawn images with the real ones, and those of the test split as the floor.

    The scores of a run directory are also added to its evaluation.jsonl.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    data: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="The real images; if not given, those of the training.")
    ] = None
    test: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="Held-out real images; if not given, the test split if any.")
    ] = None
    metrics: Annotated[
        str,
        tyro.conf.arg(
            metavar="LIST",
            help="Of fid, kid, prc (precision, recall), dc (density, coverage), isc, 1nn (the paper's Table 3), "
            "memorisation.",
        ),
    ] = "fid,kid,prc,dc"
    extractor: Annotated[
        Literal["auto", "inception", "dinov2", "classifier"],
        tyro.conf.arg(help="Whose features; classifier: of a network trained here on labelled images."),
    ] = "auto"
    weights: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="The extractor's weights; $DCGAN_WEIGHTS if not given.")
    ] = None
    samples: Annotated[int, tyro.conf.arg(metavar="N", help="How many images to draw.")] = 10_000
    reference: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="How many real images to compare with; if not given, all.")
    ] = None
    seed: Annotated[int, tyro.conf.arg(metavar="N", help="Which ones to draw.")] = 0
    truncation: Annotated[
        float | None, tyro.conf.arg(metavar="T", help="Keep z within ±T: more typical, less varied.")
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16"],
        tyro.conf.arg(help="Of inception, dinov2, and 1nn's drawings; bf16 is faster and 1 % off."),
    ] = "fp32"
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to draw and to look.")] = "auto"
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="Add the scores to this file, a line each.")] = None


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(EvaluateOptions, prog="dcgan evaluate", args=arguments)
    from dcgan.evaluation import evaluate
    from dcgan.evaluation.metrics import metric_names

    scores = evaluate(
        options.run,
        options.data,
        test=options.test,
        metrics=metric_names(options.metrics),
        extractor=options.extractor,
        weights=options.weights,
        samples=options.samples,
        reference_samples=options.reference,
        seed=options.seed,
        truncation=options.truncation,
        device=options.device,
        precision=options.precision,
        json=options.json,
    )
    if distributed.is_main():
        say(table(scores))
    return DONE


def table(scores: Sequence[Score]) -> str:
    """The scores in columns, and below them what they are of."""
    lines = [f"{'metric':<25} {'images':>10} {'value':>9}   {'95 % interval':<20} {'floor':>9}"]
    protocols: dict[str, None] = {}
    for score in scores:
        interval = f"{_short(score.interval.low)} to {_short(score.interval.high)}" if score.interval else ""
        floor = _short(score.floor.value) if score.floor else ""
        lines.append(f"{score.metric:<25} {score.samples:>10,} {_short(score.value):>9}   {interval:<20} {floor:>9}")
        protocols[_protocol(score)] = None  # in order, each once
    return "\n".join([*lines, *protocols])


def _protocol(score: Score) -> str:
    """What a score is of, for people; its record says more."""
    truncation = "" if score.truncation is None else f", truncation {score.truncation:g}"
    labels = "" if score.labels is None else f", labels by {score.labels}"
    floor = f"; floor: {score.floor.samples:,} {printable(score.floor.how)}" if score.floor else ""
    return (
        f"{score.extractor} {score.digest[:8]} {score.precision}: seed {score.seed}{truncation}{labels}; "
        f"{printable(score.reference)}, of which {score.reference_samples:,}; {score.images}{floor}"
    )


def _short(value: float) -> str:
    """Four digits that count, but no more than five after the point."""
    return f"{value:.5f}" if abs(value) < 0.1 else f"{value:.4g}"
