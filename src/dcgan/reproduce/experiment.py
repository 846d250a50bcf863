"""What an experiment of the paper is, and what comes of one: numbers beside the paper's, pictures, how it was done."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import dcgan
from dcgan.errors import printable
from dcgan.files import write_atomically
from dcgan.images import save_png

if TYPE_CHECKING:
    from dcgan.reproduce.job import Job

FORMAT = "dcgan-reproduction-1"
SCALES = ("small", "full")


@dataclass(frozen=True)
class Plan:
    """What is trained and how much is measured, at one scale."""

    preset: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of `dcgan.config`, over those of the preset."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Of samples, draws, trials and so on; each experiment has its own."""


@dataclass(frozen=True)
class Row:
    """One line of a table: what, the paper's, ours; as text, and ours as a number if it is one."""

    what: str
    paper: str
    ours: str
    value: float | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an experiment has found."""

    rows: tuple[Row, ...]
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Caption → uint8 (H, W, C)."""
    notes: tuple[str, ...] = ()
    """What a reader has to know to compare: stand-ins, differences from the paper."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """How it was measured."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Everything measured, as plain values, for the JSON file."""


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper: what the paper did, what is done here, and the function that does it."""

    name: str
    title: str
    data: str
    """The paper's data, in words."""
    genuine: tuple[str, ...]
    """The names of data sets that are it; any other stands in for it."""
    sources: tuple[str, ...]
    """What is taken when no data is given: the first on disk, else the last is downloaded; none: it has to be named."""
    plans: Mapping[str, Plan]
    """One a scale."""
    measure: Callable[[Job], Outcome]
    classified: tuple[str, str] | None = None
    """What the paper classifies, if anything: the name of the data set, and it in words."""
    options: tuple[str, ...] = ()
    """Which of `Job.options` it has a use for."""


@dataclass(frozen=True, eq=False)
class Reproduction:
    """An experiment that was done, and the folder where it is written down."""

    experiment: Experiment
    scale: str
    outcome: Outcome
    out: Path

    @property
    def files(self) -> dict[str, Path]:
        """Caption → PNG file; the first is NAME.png, others are NAME-2.png and so on."""
        name = self.experiment.name
        return {
            caption: self.out / (f"{name}.png" if number == 1 else f"{name}-{number}.png")
            for number, caption in enumerate(self.outcome.pictures, 1)
        }

    def write(self) -> None:
        """Write the pictures, NAME.json and NAME.md, each whole or absent, over those of an earlier time."""
        for caption, path in self.files.items():
            save_png(path, self.outcome.pictures[caption])
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        write_atomically(self.out / f"{self.experiment.name}.json", text.encode())
        write_atomically(self.out / f"{self.experiment.name}.md", self.to_markdown().encode())

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pixels, as plain values."""
        found = self.outcome
        return {
            "format": FORMAT,
            "experiment": self.experiment.name,
            "title": self.experiment.title,
            "scale": self.scale,
            "rows": [asdict(row) for row in found.rows],
            "notes": list(found.notes),
            "protocol": dict(found.protocol),
            "measured": dict(found.measured),
            "pictures": {caption: path.name for caption, path in self.files.items()},
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "dcgan": dcgan.__version__,
        }

    def to_markdown(self) -> str:
        """The table, the pictures, the notes and the protocol, for people."""
        found = self.outcome
        lines = [f"# {self.experiment.title}", "", f"Scale: {self.scale}.", "", "| | paper | ours |", "|---|---|---|"]
        lines += [f"| {_cell(row.what)} | {_cell(row.paper)} | {_cell(row.ours)} |" for row in found.rows]
        for caption, path in self.files.items():
            lines += ["", f"![{_cell(caption)}]({path.name})", "", _cell(caption) + "."]
        lines += ["", *(f"- {printable(note)}" for note in found.notes)]
        lines += ["", "## Protocol", "| | |", "|---|---|"]
        lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in found.protocol.items()]
        return "\n".join(lines) + "\n"

    def table(self) -> str:
        """The rows in columns, for a terminal."""
        head = Row("", "paper", "ours")
        rows = [head, *self.outcome.rows]
        first, second = (max(len(getattr(row, name)) for row in rows) for name in ("what", "paper"))
        return "\n".join(printable(f"{row.what:<{first}}  {row.paper:<{second}}  {row.ours}".rstrip()) for row in rows)


def percent(share: float, digits: int = 2) -> str:
    """0.0298 → "2.98 %"."""
    return f"{100 * share:.{digits}f} %"


def _cell(value: object) -> str:
    """Text that stays within its cell of a Markdown table."""
    return printable(value).replace("|", "\\|")
