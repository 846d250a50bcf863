"""One experiment on its way: the settings, the data, and the trainings, which go on where they were interrupted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dcgan.config import LENGTHS, Config
from dcgan.data.source import Source, Split
from dcgan.data.sources import find_source, find_source_of_run
from dcgan.errors import InputError, printable
from dcgan.files import write_atomically
from dcgan.presets import load_preset
from dcgan.pretrained import Generator, ModelInfo
from dcgan.progress import Display
from dcgan.reading import read_json
from dcgan.reproduce.experiment import FORMAT, Experiment, Plan
from dcgan.run import Run
from dcgan.training import resume_run, start_run
from dcgan.training.prepare import located, settled

MARK = "experiment.json"
"""The file that says whose a folder is."""
MOST = 10**12
"""Above any number that can be measured."""
FREE = (*LENGTHS, "device")
"""Settings that may be other ones when an interrupted experiment goes on."""


@dataclass(frozen=True)
class Job:
    """An experiment with everything that was asked for."""

    experiment: Experiment
    scale: str
    plan: Plan
    data_given: str | None
    run_given: Path | None
    out: Path
    seed: int
    device: str
    display: Display
    options: Mapping[str, Any]
    """What some experiments want to be told: classes, boxes, region, mask."""

    @cached_property
    def data(self) -> str | None:
        """The data: what was given; None for a given run's own; else what the experiment takes by itself.

        Raises InputError if that is nothing.
        """
        if self.data_given is not None or self.run_given is not None:
            return self.data_given
        for name in self.experiment.sources:
            with contextlib.suppress(InputError):
                find_source(name, self.root, download=False)
                return name
        if self.experiment.sources:
            return self.experiment.sources[-1]
        raise InputError(
            f"data: the paper's {self.experiment.data} cannot be had; name images that stand in for them with --data, "
            "or a trained run with --run"
        )

    @property
    def root(self) -> Path | None:
        """Where named data sets are looked for, if the settings say so."""
        root = self.plan.settings.get("data_root")
        return Path(root) if root else None

    def source(self, split: Split = "train") -> Source:
        """The data before it is decoded, of the job or of the run that was given; InputError if it is not there."""
        if self.data is not None or self.run_given is None:
            return find_source(self.data, self.root, split)
        settings = Run.open(self.run_given).config.data
        return find_source_of_run(settings.data, settings.data_root, split)

    def settings(self, source: Source) -> Config:
        """Those of the run that was given, or of one that learns the source: what numbers are checked by beforehand."""
        if self.run_given is not None:
            return Run.open(self.run_given).config
        config = settled(self._asked(), source)
        config.check()
        return config

    def trained(self, data: str | None = None, name: str = "run", **settings: Any) -> Run:
        """The run that was given; else the one in the folder `name` of `out`, trained to its end.

        data: what it learns, by default the job's. settings: more of `dcgan.config`, over the plan's.
        """
        self.claim()
        if self.run_given is not None:
            return Run.open(self.run_given)
        path, config = self.out / name, self._asked(data, **settings)
        if (path / "config.yaml").is_file():
            run = Run.open(path)
            lengths = {length: getattr(config.training, length) for length in LENGTHS}
            return resume_run(run, run.config.replace(**lengths, device=self.device), self.display)
        return start_run(config, path, self.display)

    def _asked(self, data: str | None = None, **settings: Any) -> Config:
        """The settings of a training: the preset's, over them the plan's, and over those these."""
        asked = {"seed": self.seed, "device": self.device, "data": data or self.data or ""}
        return load_preset(self.plan.preset).replace(**{**asked, **self.plan.settings, **settings})

    def source_of(self, run: Run) -> str:
        """What a run was trained on, in words."""
        return str(run.data.get("source", run.config.data.data))

    def notes(self, *runs: Run, classified: Sequence[str | None] = ()) -> tuple[str, ...]:
        """What is not as in the paper or the plan: images that are not the paper's, or not known to be; the length.

        classified: the data that are classified, None for the run's own.
        """
        paper = self.experiment.data
        sources = [
            printable(self.source_of(run)) for run in runs if run.config.data.data not in self.experiment.genuine
        ]
        if self.run_given is not None:
            trained = [f"the run given was trained on {source}; the paper's on {paper}" for source in sources]
        else:
            trained = [f"stand-in: {source}, in place of the paper's {paper}" for source in sources]
            trained += [note for run in runs if (note := self._shorter(run))]
        return (
            *trained,
            *self._classified([runs[0].config.data.data if name is None else name for name in classified]),
        )

    def _classified(self, names: Sequence[str]) -> tuple[str, ...]:
        if self.experiment.classified is None:
            return ()
        name, words = self.experiment.classified
        others = [printable(other) for other in names if other != name]
        if not others:
            return ()
        listed = ", ".join(others)
        return (f"stand-in: classified is {listed}; the paper's figures are of {words} and do not compare with these",)

    def _shorter(self, run: Run) -> str:
        """A note if a run has been trained for less than the plan of its scale says; else nothing."""
        plan = self.experiment.plans[self.scale]
        length = load_preset(plan.preset).replace(**plan.settings).training
        shown, images = _shown(run), run.data.get("images")
        planned = length.images or round((length.n_epochs or 0) * (images if isinstance(images, int) else 0))
        if not isinstance(shown, int) or shown >= planned:
            return ""
        return f"shorter than planned: {printable(run.path.name)} was shown {shown:,} of {planned:,} real images"

    def protocol(self, run: Run, **more: Any) -> dict[str, Any]:
        """What every experiment says of its network and its data."""
        config = run.config
        network, shape = config.network, (*config.network.size, config.network.channels)
        return {
            "scale": self.scale if self.run_given is None else "of the run given",
            "run": printable(run.path),
            "preset": config.preset,
            "network": f"{network.family}, width {network.width}, {'×'.join(map(str, shape))}",
            "data": self.source_of(run),
            "images shown": _shown(run),
            "training seed": config.training.seed,
            "seed": self.seed,
            **more,
        }

    def number(self, name: str) -> int:
        """One of the plan's numbers."""
        return self.plan.numbers[name]

    def claim(self) -> None:
        """Make the folder `out` this experiment's, if it is not yet."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            if not (self.out / MARK).exists():
                write_atomically(self.out / MARK, json.dumps(self._mark(), indent=2).encode())
        except OSError as error:
            raise InputError(
                f"{printable(self.out)}: cannot be written ({error.strerror}); name another --out"
            ) from error

    def require_own_folder(self) -> None:
        """Raise InputError if `out` holds something else than this experiment with these settings, begun or done."""
        if not self.out.exists():
            return
        if not self.out.is_dir():
            raise InputError(f"{printable(self.out)}: exists already and is not a folder; name another --out")
        if not any(self.out.iterdir()):
            return
        try:
            found = {**dict.fromkeys(self.experiment.options), **read_json(self.out / MARK)}
            theirs = {name: found[name] for name in self._mark()}
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{printable(self.out)}: holds something else than {self.experiment.name}; name another --out"
            ) from None
        ours = json.loads(json.dumps(self._mark()))
        differences = [f"{k}: {theirs[k]} there, {ours[k]} asked for" for k in ours if theirs[k] != ours[k]]
        if differences:
            listed = "\n".join(f"  - {printable(difference)}" for difference in differences)
            raise InputError(f"{printable(self.out)}: holds another experiment:\n{listed}\nName another --out.")

    def _mark(self) -> dict[str, Any]:
        """What makes an experiment another one; how much is measured in it, and how long is trained, does not."""
        settings = {name: value for name, value in self.plan.settings.items() if name not in FREE}
        return {
            "format": FORMAT,
            "experiment": self.experiment.name,
            "scale": self.scale,
            "data": self.data_given and located(self.data_given),
            "run": self.run_given and located(str(self.run_given)),
            "seed": self.seed,
            "preset": self.plan.preset,
            "settings": settings,
            **{name: self.options.get(name) for name in self.experiment.options},
            **({"boxes": located(str(self.options["boxes"]))} if "boxes" in self.options else {}),
        }

    def disclaim(self) -> None:
        """Take the mark back from a folder with nothing else in it: an input was wrong, and nothing has been done."""
        if self.out.is_dir() and [path.name for path in self.out.iterdir()] == [MARK]:
            (self.out / MARK).unlink()
            self.out.rmdir()


def _shown(run: Run) -> Any:
    """How many real images the run's networks have been shown."""
    return ModelInfo.of(run.path / Generator.filename).trained.get("images")


def planned(plan: Plan, numbers: Mapping[str, int], settings: Mapping[str, Any]) -> Plan:
    """A plan with some of it changed; a length replaces the other lengths. Raises InputError for unknown numbers."""
    if unknown := sorted(set(numbers) - set(plan.numbers)):
        raise InputError(
            f"no number {unknown[0]!r} in this experiment (there are: {', '.join(plan.numbers) or 'none'})"
        )
    if wrong := [name for name, n in numbers.items() if not 1 <= n < MOST]:
        raise InputError(f"{wrong[0]}: {numbers[wrong[0]]:,} is outside [1, {MOST:,})")
    kept = dict(plan.settings)
    if any(settings.get(name) is not None for name in LENGTHS):
        kept = {name: value for name, value in kept.items() if name not in LENGTHS}
    return replace(plan, settings={**kept, **settings}, numbers={**plan.numbers, **numbers})
