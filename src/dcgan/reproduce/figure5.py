"""Figure 5: guided back-propagation through the first six features of D's last convolution, beside an untrained D."""

from __future__ import annotations

from dcgan.features.learned import FEATURES, learned
from dcgan.reproduce.experiment import Experiment, Outcome, Row
from dcgan.reproduce.job import Job
from dcgan.reproduce.photographs import BEDROOMS, SOURCES, plans


def measure(job: Job) -> Outcome:
    """Find the images of maximal response, and what in them causes it."""
    run = job.trained()
    found = learned(
        run.path,
        job.data if job.run_given is not None else None,
        features=FEATURES[: job.number("features")],
        top=job.number("top"),
        seed=job.seed,
        device=job.device,
        quiet=job.display.console.quiet,
    )
    trained, untrained = (
        [float(values.mean()) for values in panel.strongest.responses] for panel in (found.trained, found.untrained)
    )
    return Outcome(
        rows=tuple(
            Row(
                f"feature {feature}: mean of its {job.number('top')} strongest responses",
                "by eye" if feature == 0 else "",
                f"{ours:.2f}; untrained {theirs:.2f}",
                ours,
            )
            for feature, ours, theirs in zip(found.trained.strongest.features, trained, untrained, strict=True)
        ),
        pictures={
            "An untrained D on the left, the trained one on the right; below each image its gradient": found.picture()
        },
        notes=(
            *job.stand_in_notes(run),
            "the responses of two networks are on scales of their own; what the features look for is in the picture",
        ),
        protocol=job.protocol(
            run,
            images_looked_at=found.looked_at,
            layer=f"convolution {found.layer}, receptive fields of {'×'.join(map(str, found.field.size))}",
            untrained_seed=found.seed,
        ),
        measured=found.to_dict(),
    )


EXPERIMENT = Experiment(
    name="figure5",
    title="Figure 5: what D's features respond to",
    data=BEDROOMS,
    genuine=("lsun-bedroom",),
    sources=SOURCES,
    plans=plans({"features": 6, "top": 6}, full_epochs=5),
    measure=measure,
)
