"""Figure 8: a turn vector, between the means of two groups of samples, added to others bit by bit."""

from __future__ import annotations

from dcgan.images import grid
from dcgan.latent.attributes import labelled_images
from dcgan.latent.concepts import find_concepts
from dcgan.latent.turn import arrivals, check, direction, turn
from dcgan.pretrained import Generator
from dcgan.reproduce.classes import chosen, require_classes
from dcgan.reproduce.experiment import Experiment, Outcome, Row, percent
from dcgan.reproduce.job import Job
from dcgan.reproduce.photographs import FACES, JUDGE, plans

SHOWN = 8
"""Samples in the picture."""


def measure(job: Job) -> Outcome:
    """Turn many samples; show the first, and count by a judge how many have arrived at each step."""
    require_classes(job)
    check(job.number("turned"), job.number("steps"), job.seed)
    run = job.trained()
    generator = Generator.from_pretrained(run.path, job.device)
    images = labelled_images(run.path, generator, job.data, job.display)
    end, start = chosen(job, images.class_names, 2)
    with job.display:
        (one, other), _ = find_concepts(
            run.path,
            generator,
            {"from": f"class:{start}", "to": f"class:{end}"},
            job.display,
            samples=job.number("samples"),
            seed=job.seed,
            data=job.data,
        )
        vector = direction(generator, one, other).vector
        turned = turn(
            generator,
            vector,
            rows=job.number("turned"),
            steps=job.number("steps"),
            seed=job.seed,
            without={*one.numbers, *other.numbers},
        )
        shares, judge = arrivals(turned, end, images, generator, job.display)
    rows = turned.images[:SHOWN]
    return Outcome(
        rows=tuple(
            Row(f"judged {end}, {share:+.2f} of the vector", "by eye" if number == 0 else "", percent(found, 1), found)
            for number, (share, found) in enumerate(zip(turned.shares, shares, strict=True))
        ),
        pictures={f"From {start} to {end}, a sample a row": grid(rows.reshape(-1, *rows.shape[2:]), rows.shape[1])},
        notes=(
            *job.notes(run),
            f"stand-in: the vector leads from {start} to {end}, the paper's from looking left to looking right",
            "the paper picked its samples by hand; here a classifier picks them, and another one judges, trained on "
            f"other images: {judge}",
        ),
        protocol=job.protocol(
            run,
            labels=images.source,
            samples_a_group=job.number("samples"),
            turned=job.number("turned"),
            judge=JUDGE,
        ),
        measured={
            "shares": shares,
            "steps": turned.shares.tolist(),
            "from": list(one.numbers),
            "to": list(other.numbers),
            "vector": vector.tolist(),
        },
    )


EXPERIMENT = Experiment(
    name="figure8",
    title="Figure 8: a turn vector",
    data=FACES,
    genuine=(),
    sources=(),
    plans=plans({"samples": 4, "turned": 64, "steps": 9}),
    measure=measure,
    options=("classes",),
)
