"""Figure 2: samples after one pass over the bedrooms, when nothing can have been learned by heart yet."""

from __future__ import annotations

from functools import partial

from dcgan.images import grid
from dcgan.pretrained import Generator
from dcgan.reproduce.experiment import Experiment, Outcome, Row
from dcgan.reproduce.job import Job
from dcgan.reproduce.photographs import BEDROOMS, SOURCES, plans

IN_PAPER = 3_033_042
"""LSUN bedrooms."""


def samples(job: Job, epochs: int) -> Outcome:
    """Train for the plan's passes over the data, and draw."""
    run = job.trained()
    generator = Generator.from_pretrained(run.path, job.device)
    shown, images = generator.info.trained.get("images"), run.data.get("images")
    passes = shown / images if isinstance(shown, int) and isinstance(images, int) else None
    drawn = generator.sample(job.number("samples"), job.seed)
    return Outcome(
        rows=(
            Row("passes over the data", str(epochs), "unknown" if passes is None else f"{passes:.3g}", passes),
            Row("images in the data", f"{IN_PAPER:,}", _count(images)),
            Row("real images shown", f"{epochs * IN_PAPER:,}", _count(shown)),
            Row("size", "64×64×3", "×".join(map(str, drawn.shape[1:]))),
        ),
        pictures={f"Samples 0 to {len(drawn) - 1} of seed {job.seed}": grid(drawn)},
        notes=(
            *job.notes(run),
            "a pass over a smaller set is fewer steps; what counts is the number of real images shown",
        ),
        protocol=job.protocol(run, samples=len(drawn)),
        measured={"passes": passes, "images_shown": shown, "images": images},
    )


def experiment(name: str, title: str, epochs: int) -> Experiment:
    """Samples after so many passes."""
    return Experiment(
        name=name,
        title=title,
        data=BEDROOMS,
        genuine=("lsun-bedroom",),
        sources=SOURCES,
        plans=plans({"samples": 64}, n_epochs=epochs),
        measure=partial(samples, epochs=epochs),
    )


def _count(number: object) -> str:
    return f"{number:,}" if isinstance(number, int) else "unknown"


EXPERIMENT = experiment("figure2", "Figure 2: samples after one epoch", 1)
