"""The paper's tables and figures, each as one function call: `reproduce("figure4", data="faces.zip")`.

A module an experiment; each composes what the other folders measure. See docs/reproduce.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan.errors import InputError, nearest
from dcgan.reading import at_home

if TYPE_CHECKING:
    from dcgan.progress import Display
    from dcgan.reproduce.experiment import Experiment, Reproduction

NAMES = {
    "table1": "CIFAR-10 by D's features and a linear SVM",
    "table2": "SVHN, or digits, with 1,000 labels",
    "table3": "conditional MNIST, judged by a nearest-neighbour classifier",
    "figure2": "samples after one epoch",
    "figure3": "samples after five epochs",
    "figure4": "walks through the latent space",
    "figure5": "what D's features respond to, beside an untrained D",
    "figure6": "forgetting to draw an object",
    "figure7": "vector arithmetic on faces",
    "figure8": "a turn vector",
}


def find_name(name: str) -> str:
    """The name itself; InputError names the nearest one if there is no such experiment."""
    if name not in NAMES:
        raise InputError(f"no experiment {name!r}{nearest(name, NAMES)} (there are: {', '.join(NAMES)})")
    return name


def find_experiment(name: str) -> Experiment:
    """The experiment of that name; InputError if there is none."""
    experiment: Experiment = import_module(f"dcgan.reproduce.{find_name(name)}").EXPERIMENT
    return experiment


def reproduce(
    name: str,
    *,
    scale: str = "small",
    data: str | Path | None = None,
    run: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    numbers: Mapping[str, int] | None = None,
    display: Display | None = None,
    **settings: Any,
) -> Reproduction:
    """Train what is missing, do one of the paper's experiments, and write pictures, JSON and Markdown into `out`.

    name: one of NAMES. scale: "small" is for a laptop, "full" has the paper's settings and is for a GPU. data: in place
    of what the experiment takes by itself. run: a run directory that is trained already; else the training goes to
    out/run, and goes on there if it was interrupted. out: by default reproductions/NAME. options: classes, boxes,
    region, mask: what some experiments want to be told. numbers: how much is measured, over the plan's. settings: any
    of `dcgan.config` by name, such as `minutes=5`, over the plan's.
    Raises InputError for wrong input before anything is written, and KeyboardInterrupt once all is saved.
    """
    from dcgan.latents import check_seed
    from dcgan.progress import Display as Shown
    from dcgan.reproduce.experiment import SCALES, Reproduction
    from dcgan.reproduce.job import Job, planned
    from dcgan.run import Run

    experiment = find_experiment(name)
    if scale not in SCALES:
        raise InputError(f"scale: there is no {scale!r} (there are: {', '.join(SCALES)})")
    check_seed(seed)
    given = {key: value for key, value in (options or {}).items() if value is not None}
    if useless := [key for key in given if key not in experiment.options]:
        wanted = f"; it takes {', '.join(experiment.options)}" if experiment.options else ""
        raise InputError(f"{useless[0]}: {name} has no use for it{wanted}")
    if run is not None and settings:
        raise InputError(f"{next(iter(settings))}: the run that was given is trained already; leave it out")
    # A Path is never the name of a set.
    named = str(at_home(data).resolve()) if isinstance(data, Path) else data
    job = Job(
        experiment,
        scale,
        planned(experiment.plans[scale], numbers or {}, settings),
        named,
        None if run is None else Run.open(run).path,
        Path(out) if out is not None else Path("reproductions") / name,
        seed,
        device,
        display or Shown(),
        given,
    )
    job.require_own_folder()
    try:
        outcome = experiment.measure(job)
    except InputError:
        job.disclaim()
        raise
    done = Reproduction(experiment, scale, outcome, job.out)
    try:
        done.write()
    except OSError as error:
        raise InputError(f"{job.out}: cannot be written ({error.strerror})") from error
    return done
