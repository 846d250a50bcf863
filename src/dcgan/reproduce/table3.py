"""Table 3: real digits classified by their nearest neighbour among labelled drawings of a conditional generator."""

from __future__ import annotations

import json

from dcgan.evaluation.judge import evaluate
from dcgan.evaluation.scores import Score
from dcgan.images import grid
from dcgan.pretrained import Generator
from dcgan.reproduce.experiment import Experiment, Outcome, Plan, Row, percent
from dcgan.reproduce.job import Job
from dcgan.reproduce.probing import require_labels

PAPER = {50_000: "2.98 %", 10_000_000: "1.48 %"}
REAL = {50_000: "3.1 %"}
LABELLED = "the generator knows no classes: a classifier of the real images labelled its drawings; not the paper's test"
ALL = "the paper trained on 50,000 of the 60,000 training digits; here on all of them"
A_CLASS = 10
"""Drawings of each class in the picture."""


def measure(job: Job) -> Outcome:
    """Draw, search, and put the same with real training images beside it."""
    require_labels(job.experiment.name, job.source(), job.source("test"))
    run = job.trained(conditional=True)
    scores = evaluate(
        run.path,
        None if job.run_given is None else job.data,
        metrics=["1nn"],
        samples=job.number("samples"),
        seed=job.seed,
        device=job.device,
        precision="fp32" if job.scale == "small" else "bf16",
        quiet=job.display.console.quiet,
    )
    errors = [score for score in scores if score.metric == "1nn"]
    last = errors[-1]
    assert last.floor is not None
    generator = Generator.from_pretrained(run.path, job.device)
    classes = generator.info.network.classes or A_CLASS
    return Outcome(
        rows=(
            *(
                Row(
                    f"1-NN test error, {score.samples:,} drawings",
                    PAPER.get(score.samples, ""),
                    _text(score),
                    score.value,
                )
                for score in errors
            ),
            Row(
                f"… {last.floor.samples:,} real training images",
                REAL.get(last.floor.samples, ""),
                percent(last.floor.value),
                last.floor.value,
            ),
        ),
        pictures={"All classes in turn, a column each": grid(generator.sample(A_CLASS * classes, job.seed), classes)},
        notes=(
            *job.notes(run, classified=[None if job.run_given is None else job.data]),
            *(() if generator.info.network.classes else (LABELLED,)),
            *((ALL,) if run.config.data.data == "mnist" and run.data.get("images") == 60_000 else ()),
        ),
        protocol=job.protocol(
            run,
            labels=last.labels,
            queries=f"{last.reference_samples:,} of {last.reference} ({last.split})",
            precision=last.precision,
            interval="95 %, Wilson, of the test images",
        ),
        measured={"scores": [json.loads(score.to_json()) for score in scores]},
    )


def _text(score: Score) -> str:
    assert score.interval is not None
    return f"{percent(score.value)} ({percent(score.interval.low)} to {percent(score.interval.high)})"


EXPERIMENT = Experiment(
    name="table3",
    title="Table 3: nearest-neighbour classification of MNIST by drawings",
    data="MNIST",
    genuine=("mnist",),
    sources=("mnist",),
    plans={
        # benchmarks/RESULTS.md has what this gives.
        "small": Plan(
            "fast",
            {"width": 48, "batch_size": 32, "augment": "none", "images": 1_400_000},
            {"samples": 50_000},
        ),
        "full": Plan("paper-mnist", {}, {"samples": 10_000_000}),
    },
    measure=measure,
    classified=("mnist", "MNIST"),
)
