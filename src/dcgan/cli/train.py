"""`dcgan train`: start a run, or go on with one."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import tyro

from dcgan import distributed
from dcgan.cli import DONE, INTERRUPTED
from dcgan.config import FIELDS, LENGTHS, Config, documentation
from dcgan.data.sources import NAMES
from dcgan.errors import InputError, typed
from dcgan.files import load_yaml
from dcgan.presets import PRESETS, load_preset
from dcgan.progress import Display
from dcgan.run import Run
from dcgan.training import require_own_folder, resume_run, start_run

# The blog post's own names for some settings.
ALIASES = {"image_size": "--img-size", "beta1": "--b1", "beta2": "--b2", "workers": "--n-cpu"}


def run(arguments: Sequence[str]) -> int:
    """Parse, train, and say what to do next."""
    arguments = _without_dummy(arguments)
    head = _peek(arguments)
    resumed = Run.open(head.resume) if head.resume else None
    base = _starting_point(head.preset, head.config, resumed)
    parsed: Any = tyro.cli(
        _options(base),
        prog="dcgan train",
        description="Train a DCGAN on DATA: a folder, zip, tar, IDX files, or one of mnist, fashion-mnist, cifar10, "
        "svhn, celeba, lsun-bedroom, digits. Without DATA: MNIST if it can be had, else the bundled digits.",
        args=arguments,
    )
    config = _merge(base, parsed)
    display = Display(quiet=not distributed.is_main())
    try:
        if resumed:
            require_own_folder(resumed, parsed.out)
            trained = resume_run(resumed, dataclasses.replace(config, preset=head.preset or config.preset), display)
        else:
            trained = start_run(config, parsed.out, display)
    except KeyboardInterrupt as interrupt:
        stopped = getattr(interrupt, "run", None)
        if stopped is None:
            raise
        display.say(f"stopped and saved; go on with\n  dcgan train --resume {typed(stopped)}")
        return INTERRUPTED
    grids = sorted((trained.path / "samples").glob("*.png"))
    animated = (
        ", and progress.gif beside it shows how it came about" if (grids[-1].parent / "progress.gif").exists() else ""
    )
    display.say(f"done; the last grid is {grids[-1]}{animated}")
    run = typed(trained)
    display.say(f"next:\n  dcgan sample {run} -n 25 --out drawn.png\n  dcgan train --resume {run} --minutes M")
    return DONE


def options() -> Any:
    """The options as a dataclass, with the defaults of `fast`."""
    return _options(load_preset("fast"))


def _peek(arguments: Sequence[str]) -> argparse.Namespace:
    """The three options that decide what the defaults of all others are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in ("--preset", "--config", "--resume"):
        parser.add_argument(name)
    try:
        return parser.parse_known_args(arguments)[0]
    except argparse.ArgumentError:  # a value is missing: the full parser says so
        return argparse.Namespace(preset=None, config=None, resume=None)


def _without_dummy(arguments: Sequence[str]) -> list[str]:
    """Leave out the post's `-f`, which notebooks pass to every script; InputError if it is given data."""
    kept, left = list[str](), list(arguments)
    while left:
        word = left.pop(0)
        if word in ("-f", "--fff") and left and not left[0].startswith("-"):
            _require_dummy(word, left.pop(0))
        elif word.startswith("--fff="):
            _require_dummy(*word.split("=", 1))
        else:
            kept.append(word)
    return kept


def _require_dummy(option: str, value: str) -> None:
    """A dummy is the file of a notebook's kernel, or a word that stands for nothing."""
    plain = re.fullmatch(r"\w+", value) and value not in NAMES and not os.path.exists(value)
    if not (plain or value.endswith(".json")):
        raise InputError(f"{option} {value}: is no option for data; name it without: dcgan train {typed(value)}")


def _starting_point(preset: str | None, file: str | None, resumed: Run | None = None) -> Config:
    """Under the settings of the file: those of the run that goes on, else of the preset, named here or in the file."""
    values = load_yaml(Path(file)) if file else {}
    if resumed:
        return Config.from_dict(values, resumed.config)
    name = preset or str(values.get("preset", "fast"))
    return Config.from_dict(values | {"preset": name}, load_preset(name))


def _options(base: Config) -> Any:
    """The command's options as a dataclass, made from the settings so that nothing is said twice."""
    sections = []
    for section in ("network", "data", "training"):
        fields: list[Any] = []
        for item in dataclasses.fields(getattr(base, section)):
            hint: Any = FIELDS[item.name][1]
            default = None if item.name in LENGTHS else getattr(getattr(base, section), item.name)
            annotation = tyro.conf.arg(
                help=_help(item), aliases=[ALIASES[item.name]] if item.name in ALIASES else None, metavar=_metavar(hint)
            )
            if _metavar(hint):  # numbers and text: `Config.replace` reads them, as it reads a file's
                hint, default = str, "none" if default is None else str(default)
            if item.name in ("data", "classes"):  # DATA says both
                hint = Annotated[hint, tyro.conf.Suppress]
            fields.append((item.name, Annotated[hint, annotation], dataclasses.field(default=default)))
        made: Any = dataclasses.make_dataclass(section.capitalize(), fields, frozen=True)
        sections.append((section, Annotated[made, tyro.conf.OmitArgPrefixes], dataclasses.field(default_factory=made)))
    presets = tyro.conf.arg(help=f"The recipe: {', '.join(PRESETS)}.", metavar="NAME")
    path = Path | None
    own: list[Any] = [
        ("DATA", Annotated[tyro.conf.Positional[str], tyro.conf.arg(help="What to learn from.", metavar="[DATA]")], ""),
        ("preset", Annotated[str, presets], base.preset),
        (
            "out",
            Annotated[path, tyro.conf.arg(help="The run directory; runs/DATA-PRESET if not given.", metavar="RUN")],
            None,
        ),
        ("resume", Annotated[path, tyro.conf.arg(help="Go on with this run.", metavar="RUN")], None),
        ("config", Annotated[path, tyro.conf.arg(help="A YAML file of settings.", metavar="FILE")], None),
    ]
    return dataclasses.make_dataclass("TrainOptions", [*own, *sections], frozen=True)


def _help(item: dataclasses.Field[Any]) -> str:
    interval = item.metadata.get("interval")
    return documentation()[item.name] + (f" In {interval}." if interval else "")


def _metavar(hint: Any) -> str | None:
    """A short word for a number; None leaves choices and flags to the parser."""
    kinds = {int: "N", float: "X", str: "TEXT"}
    return next((kinds[h] for h in (hint, *get_args(hint)) if h in kinds), None)


def _merge(base: Config, options: Any) -> Config:
    """The starting point with everything the command line said."""
    flat = {name: getattr(getattr(options, section), name) for name, (section, _) in FIELDS.items()}
    given = {name: flat.pop(name) for name in LENGTHS}
    flat["data"] = options.DATA or base.data.data
    if any(value != "none" for value in given.values()):
        flat |= given
    return base.replace(**flat)
