"""Training: `train` starts or resumes a run and returns it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dcgan import distributed
from dcgan.config import LENGTHS, Config, check_all_apply
from dcgan.errors import InputError, printable, typed
from dcgan.files import remove_partial
from dcgan.locks import sole_user
from dcgan.presets import DEFAULT_MINUTES, load_preset
from dcgan.progress import Display, Position
from dcgan.run import Run, default_path, is_free


def train(
    data: str | Path | None = None,
    *,
    preset: str | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a DCGAN on images and return the run directory.

    data: a folder, zip, tar, IDX files or the name of a data set; None: MNIST if it can be had, else the
    bundled digits. preset: a recipe of `dcgan.presets`, by default "fast". settings: any setting of
    `dcgan.config` by name, such as `minutes=10` or `image_size=64`. out: the new run directory, by default one
    under runs/. quiet: show no progress.
    resume: go on with this run instead; of the settings only its length, and what changes nothing of what
    is learnt, may be given, and the run remembers them. Raises InputError for wrong input before anything is written,
    and KeyboardInterrupt once everything is saved when interrupted. A script that torchrun starts trains with all its
    processes.
    """
    display = Display(quiet=quiet or not distributed.is_main())
    if data is not None:
        settings["data"] = str(data)
    if resume is not None:
        run = Run.open(resume)
        require_own_folder(run, out)
        config = run.config.replace(**settings)
        return resume_run(run, dataclasses.replace(config, preset=preset or config.preset), display)
    config = load_preset(preset or "fast").replace(**settings)
    if config.network.classes and not config.network.conditional:
        raise InputError("classes: the data say how many; give conditional=True")
    return start_run(config, Path(out) if out else None, display)


def start_run(config: Config, out: Path | None, display: Display) -> Run:
    """Begin a new run with these settings, in `out` or in a new folder under runs/.

    Processes that torchrun has started again go on with the run that they had begun in `out` before.
    """
    config = _with_length(config)
    config.check()
    check_all_apply(config.network)
    with distributed.joined(config.training.device):
        begun = _begun(config, out)
        return resume_run(begun, begun.config, display) if begun else _start_run(config, out, display)


def _start_run(config: Config, out: Path | None, display: Display) -> Run:
    from dcgan.training.loop import fit
    from dcgan.training.prepare import describe_data, prepare

    if out is not None and out.exists() and (not out.is_dir() or not is_free(out)):
        there = printable(out)
        raise InputError(f"{there}: exists already; name another --out, or go on with it by --resume {typed(out)}")
    if out is None and distributed.may_restart():
        raise InputError("out: name a run directory, so that what torchrun starts again finds it (--out RUN)")
    asked = config
    config, pack, name = prepare(config, display)
    data = describe_data(pack) | _launch(asked)
    path = Path(distributed.from_main(lambda: str(out or default_path(name, config.preset))))
    with _alone(path, display):
        run = Run(Path(distributed.from_main(lambda: str(Run.create(path, config, data).path))))
        fit(config, run, pack, display)
    return run


def resume_run(run: Run, config: Config, display: Display) -> Run:
    """Go on with a run from its newest readable checkpoint, to the length of the settings."""
    run.require_no_links()
    with distributed.joined(config.training.device), _alone(run.path, display):
        distributed.from_main(lambda: remove_partial(run.path))
        return _resume_run(run, config, display)


def _resume_run(run: Run, config: Config, display: Display) -> Run:
    from dcgan.evaluation.originals import require_own
    from dcgan.training.checkpoint import newest_for_all
    from dcgan.training.loop import Length, fit
    from dcgan.training.prepare import FREE_ON_RESUME, OF_THE_MACHINE, located, prepare, settings_that_differ

    if "key" not in run.data:
        raise InputError(f"{run}: its networks were imported, without what a training needs to go on; start a new run")
    before = run.config
    config = config.replace(data=located(config.data.data))
    if all(getattr(config.training, name) is None for name in LENGTHS):
        config = config.replace(**{name: getattr(before.training, name) for name in LENGTHS})
    _require_same(settings_that_differ(before, config), f"{run}: cannot be resumed with other settings")
    checkpoint, problems = newest_for_all(run.checkpoints)
    for problem in problems:
        display.warn(f"{problem}; going back to the checkpoint before")
    trained = config
    if checkpoint:  # where the data is may have been corrected by hand: its images are compared below
        trained = Config.from_dict(checkpoint.settings, config).replace(data=config.data.data)
        _require_same(settings_that_differ(trained, config), f"{run}: its config.yaml is not what it was trained with")
    config, pack, _ = prepare(config, display, run.data.get("left_out"), resumed=True)
    require_own(pack, run, config.data.data, "start a new run")
    done = checkpoint is not None and Length(config.training, pack.total).share(checkpoint.position) >= 1
    if checkpoint and done and distributed.from_main(lambda: _is_complete(run, checkpoint.position.images)):
        display.say(f"{run} has reached its length already; give a longer --minutes, --images or --n-epochs to go on")
        return run
    where = f"step {checkpoint.position.step:,}" if checkpoint else "the beginning (there is no checkpoint yet)"
    display.say(f"resuming {run} from {where}")
    if distributed.is_main():
        if checkpoint is None:
            run.rewind(0, 0)
        else:
            _tell_of_rates(trained, config, checkpoint.position, pack.total, display)
        run.remember(config, FREE_ON_RESUME - OF_THE_MACHINE)
    distributed.barrier()
    fit(config, run, pack, display, checkpoint)
    return run


def require_own_folder(run: Run, out: str | Path | None) -> None:
    """Raise InputError if a resume is asked to write anywhere but into the run itself."""
    if out is not None and Path(out).resolve() != run.path.resolve():
        raise InputError(f"out: a resume goes on in {run} itself; leave --out out, or copy the run and resume the copy")


def _require_same(differences: list[str], problem: str) -> None:
    if differences:
        listed = "\n".join(f"  - {difference}" for difference in differences)
        raise InputError(f"{problem}:\n{listed}\nLeave them as they were, or start a new run.")


def _tell_of_rates(before: Config, after: Config, position: Position, images: int, display: Display) -> None:
    """Falling rates fall over the whole length: with another one they jump."""
    from dcgan.training.loop import Length, rate_factor

    settings = before.training, after.training
    then, now = (rate_factor(each, Length(each, images).share(position)) for each in settings)
    if abs(then - now) > 0.01:
        display.warn(
            f"lr_decay: over the new length the learning rates go on at {now:.2g} of --lr; they were at {then:.2g}"
        )


def _is_complete(run: Run, images: int) -> bool:
    """Whether a run that has reached its length was left to write all that comes after its last checkpoint."""
    from dcgan.pretrained import Discriminator, Generator

    try:
        networks = [of.from_pretrained(run.path, "cpu") for of in (Generator, Discriminator)]
    except InputError:
        return False
    shown = [network.info.trained.get("images") for network in networks]
    return shown == [images, images] and (run.path / "samples" / f"{images:010d}.png").exists()


@contextmanager
def _alone(path: Path, display: Display) -> Iterator[None]:
    """Keep every other training out of this run directory meanwhile; of several processes the main one does."""
    with ExitStack() as stack:
        if not distributed.from_main(lambda: stack.enter_context(sole_user(path))):
            display.warn(f"{printable(path)}: this drive has no locks; see that no other training writes there")
        yield


def _launch(config: Config) -> dict[str, Any]:
    """What data.json says of torchrun, if that can start the processes again: which it was, and what was asked for."""
    return {"launch": [distributed.launch(), config.to_dict()]} if distributed.launch() else {}


def _begun(config: Config, out: Path | None) -> Run | None:
    """The run that these processes had begun with these settings, before torchrun started them again."""
    asked = _launch(config)

    def found() -> bool:
        if not asked or out is None or not (out / "config.yaml").is_file():
            return False
        return Run.open(out).data.get("launch") == json.loads(json.dumps(asked["launch"]))

    return Run(out) if out and distributed.from_main(found) else None


def _with_length(config: Config) -> Config:
    """The settings with a length: their own, else the preset's, else the default."""
    if any(getattr(config.training, name) is not None for name in LENGTHS):
        return config
    preset = load_preset(config.preset).training
    own = {name: getattr(preset, name) for name in LENGTHS}
    return config.replace(**(own if any(own.values()) else {"minutes": DEFAULT_MINUTES}))
