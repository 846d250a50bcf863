"""Figure 5: guided back-propagation through the first six features of D's last convolution, beside an untrained D."""

from __future__ import annotations

import torch

from dcgan.features.guided import checked_layer, require_there
from dcgan.features.learned import learned
from dcgan.networks import build_discriminator
from dcgan.reproduce.experiment import Experiment, Outcome, Row
from dcgan.reproduce.job import Job
from dcgan.reproduce.photographs import BEDROOMS, SOURCES, plans


def measure(job: Job) -> Outcome:
    """Find the images of maximal response, and what in them causes it."""
    source, features = job.source(), tuple(range(job.number("features")))
    with torch.device("meta"):
        like = build_discriminator(job.settings(source).network)
    require_there(like, len(source), checked_layer(like, None), features, job.number("top"))
    run = job.trained()
    found = learned(
        run.path,
        job.data if job.run_given is not None else None,
        features=features,
        top=job.number("top"),
        seed=job.seed,
        device=job.device,
        quiet=job.display.console.quiet,
    )
    trained, untrained = (float(panel.strongest.responses.mean()) for panel in (found.trained, found.untrained))
    return Outcome(
        rows=(
            Row("features of the last convolution", "the first 6", f"the first {len(features)}"),
            Row("images of maximal response, each", "", f"{job.number('top')} of {found.looked_at:,}"),
            Row("receptive field", "", "×".join(map(str, found.field.size))),
            Row("mean of these responses", "by eye", f"{trained:.2f}; untrained {untrained:.2f}", trained),
        ),
        pictures={
            "An untrained D on the left, the trained one on the right; below each image its gradient": found.picture()
        },
        notes=(
            *job.notes(run),
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
