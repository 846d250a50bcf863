"""Figure 4: walks between nine random samples; no sharp transitions, or the images would be learned by heart."""

from __future__ import annotations

from dcgan.images import grid
from dcgan.latent.walk import check, walk
from dcgan.pretrained import Generator
from dcgan.reproduce.experiment import Experiment, Outcome, Row
from dcgan.reproduce.job import Job
from dcgan.reproduce.photographs import BEDROOMS, SOURCES, plans


def measure(job: Job) -> Outcome:
    """Walk, and measure how smoothly the images change."""
    points, steps = range(job.number("points")), job.number("steps")
    check(points, steps, job.seed)
    run = job.trained()
    generator = Generator.from_pretrained(run.path, job.device)
    drawn_as = {"class": (*generator.info.class_names, "0")[0]} if generator.info.network.classes else {}
    with job.display:
        walked = walk(
            generator,
            points,
            seed=job.seed,
            steps=steps,
            label=0 if drawn_as else None,
            progress=job.display.counter("drawing"),
        )
    smooth = walked.smoothness()
    rows = len(walked.frames)
    of = f", all of class {drawn_as['class']}" if drawn_as else ""
    return Outcome(
        rows=(
            Row("samples walked through", "9", str(len(walked.through))),
            Row("largest step between frames, by the mean step", "smooth, by eye", f"{smooth.ratio:.2f}", smooth.ratio),
            Row(
                "largest step by the way from end to end of its path",
                "",
                f"{smooth.largest / max(smooth.ends[smooth.at[0]], 1e-9):.2f} (1: a jump)",
            ),
            Row("mean step, levels of 255", "", f"{smooth.mean:.2f}", smooth.mean),
        ),
        pictures={
            f"Samples 0 to {rows} of seed {job.seed}{of}, a path a row": grid(
                walked.frames.reshape(-1, *walked.frames.shape[2:]), steps
            )
        },
        notes=job.notes(run),
        protocol=job.protocol(
            run, interpolation="spherical", steps=steps, distance="root mean square of the pixels", **drawn_as
        ),
        measured=smooth.record(),
    )


EXPERIMENT = Experiment(
    name="figure4",
    title="Figure 4: walks through the latent space",
    data=BEDROOMS,
    genuine=("lsun-bedroom",),
    sources=SOURCES,
    plans=plans({"points": 9, "steps": 10}, full_epochs=5),
    measure=measure,
)
