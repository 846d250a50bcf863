"""Table 2: SVHN classified with 1,000 labels; where its files are missing, MNIST and Fashion-MNIST with as many."""

from __future__ import annotations

from dcgan.data.sources import find_source
from dcgan.features.probe import probe
from dcgan.features.protocol import Probe, Protocol
from dcgan.reproduce.experiment import Experiment, Outcome, Plan, Row
from dcgan.reproduce.job import Job
from dcgan.reproduce.probing import errors, features, require_images, require_labels

PAPER = {"D": "22.48 %; 22.18 ± 1.13 % in the authors' script", "supervised": "28.87 % (validation)"}
LABELS = 1000
"""Of all figures of the paper."""
ELSEWHERE = (
    Row("SVHN: SWWAE with dropout, 1,000 labels", "23.56 %", ""),
    Row("SVHN: M1+M2, 1,000 labels", "36.02 %", ""),
    Row("SVHN: nearest neighbours, 1,000 labels", "77.93 %", ""),
)
STAND_INS = ("mnist", "fashion-mnist")


def measure(job: Job) -> Outcome:
    """Probe D, an untrained D, raw pixels and a purely supervised network on each of the sets."""
    single = job.run_given is not None or job.data_given is not None or job.data not in STAND_INS
    sets = [job.data] if single else [*STAND_INS]
    sources = [job.source() if data is None else find_source(data, job.root) for data in sets]
    protocol = Protocol(
        labels=job.number("labels"), draws=job.number("draws"), trials=job.number("trials"), seed=job.seed
    )
    for data, train in zip(sets, sources, strict=True):
        test = job.source("test") if single else find_source(data, job.root, "test")
        require_labels(job.experiment.name, train, test)
        require_images(job, data, train, protocol)
    runs = [job.trained(data, "run" if single else f"run-{data}") for data in sets]
    found = [
        probe(
            run.path,
            data,
            protocol=protocol,
            supervised=True,
            device=job.device,
            quiet=job.display.console.quiet,
        )
        for data, run in zip(sets, runs, strict=True)
    ]
    names = [source.name for source in sources]
    return Outcome(
        rows=(*(row for probed, name in zip(found, names, strict=True) for row in _rows(probed, name)), *ELSEWHERE),
        notes=job.notes(*runs, classified=sets),
        protocol={
            f"{name}: {key}" if len(sets) > 1 else key: value
            for probed, name, run in zip(found, names, runs, strict=True)
            for key, value in _protocol(job.protocol(run), probed).items()
        },
        measured={name: probed.to_dict() for name, probed in zip(names, found, strict=True)},
    )


def _rows(found: Probe, name: str) -> tuple[Row, ...]:
    labels = found.protocol["labels"]
    return tuple(
        Row(f"{name}: {features(row)}, {labels:,} labels", _paper(row.features, labels), errors(row), row.error)
        for row in found.rows
    )


def _paper(row: str, labels: int) -> str:
    """Its figure, if it is of as many labels."""
    return f"SVHN: {PAPER[row]}" if row in PAPER and labels == LABELS else ""


def _protocol(common: dict[str, object], found: Probe) -> dict[str, object]:
    told = found.protocol
    return {
        **common,
        "train": told["train_images"],
        "test": told["test_images"],
        "validation": f"{told['validation']:,} training images choose C and the supervised network",
        "draws": f"{told['draws']} of {told['labels']:,} labels, the same for every row",
        "random search": f"{told['trials']} trials",
        "svm": told["svm"],
        "interval": "95 %, of the mean of the draws",
    }


EXPERIMENT = Experiment(
    name="table2",
    title="Table 2: classification with few labels (error)",
    data="SVHN",
    genuine=("svhn",),
    sources=("svhn", "mnist"),
    plans={
        "small": Plan("fast", {"images": 700_000}, {"labels": LABELS, "draws": 10, "trials": 8}),
        "full": Plan("paper-svhn", {}, {"labels": LABELS, "draws": 100, "trials": 64}),
    },
    measure=measure,
    classified=("svhn", "SVHN"),
)
