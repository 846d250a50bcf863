"""What Tables 1 and 2 have in common: rows of a probe of D's features, put beside the paper's."""

from __future__ import annotations

from dataclasses import replace

from dcgan.data.source import Source
from dcgan.errors import InputError, printable
from dcgan.evaluation.originals import Originals, originals
from dcgan.features.judging import prepare
from dcgan.features.protocol import Protocol
from dcgan.features.protocol import Row as Probed
from dcgan.reproduce.experiment import percent
from dcgan.reproduce.job import Job


def require_labels(name: str, train: Source, test: Source) -> None:
    """Raise InputError, before anything is trained, unless the two are labelled and not the same images."""
    for images in (train, test):
        if len(images.class_names) < 2:
            raise InputError(f"data: {printable(images.description)}; {name} wants labels of two classes or more")
    if test.fingerprint() == train.fingerprint():
        raise InputError(
            f"data: {printable(train.description)}; {name} wants a test split as well: a name, a folder of IDX files, "
            "or a folder that holds `train` and `test`, as folders or archives"
        )


def require_images(job: Job, data: str | None, source: Source, protocol: Protocol) -> None:
    """Raise InputError, before anything is trained, if there are too few images for the draws and the choice of C."""
    config = job.settings(source)
    images = originals(job.run_given, data) if job.run_given else Originals(replace(config.data, data=data or ""))
    with job.display:
        prepare(config.network, images, None, protocol, job.display)


def features(row: Probed) -> str:
    """ "random D's features (28,672)" """
    what = {"D": "D's features", "random D": "an untrained D's features"}.get(row.features, row.features)
    return what if row.dimensions is None else f"{what} ({row.dimensions:,})"


def errors(row: Probed) -> str:
    """ "22.48 % (21.90 to 23.06; single draws ± 1.13)": the mean, its 95 % interval, the deviation of draws."""
    return f"{percent(row.error)} ({100 * row.low:.2f} to {100 * row.high:.2f}{_spread(row)})"


def accuracies(row: Probed) -> str:
    """The same of what is right: "77.52 % (76.94 to 78.10; single draws ± 1.13)"."""
    return f"{percent(1 - row.error)} ({100 - 100 * row.high:.2f} to {100 - 100 * row.low:.2f}{_spread(row)})"


def _spread(row: Probed) -> str:
    return "" if row.deviation is None else f"; single draws ± {100 * row.deviation:.2f}"
