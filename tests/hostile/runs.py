"""Run directories from strangers: links out of them, pipes in them, checkpoints of something else, names that act."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from dcgan.files import write_tensors
from dcgan.training.checkpoint import FORMAT, _digest
from tests.hostile.archives import names_case
from tests.hostile.case import Case, Write
from tests.hostile.tiny import trained_run

LINKED = ("config.yaml", "metrics.jsonl", "data.json", "samples", "checkpoints", "generator.safetensors.partial")
VICTIM = "victim"
"""Folder beside a case that nothing may touch."""


def run_cases() -> Iterator[Case]:
    for name in (*LINKED, "evaluation.jsonl", "memorisation.png", "images", "tensorboard", "best"):
        for reader in ("resume", "evaluate"):
            yield Case(reader, f"link-{name}", _linked(name))
    for name in ("config.yaml", "data.json", "metrics.jsonl", "generator.safetensors"):
        yield Case("resume" if name != "generator.safetensors" else "generator_folder", f"pipe-{name}", _pipe(name))
        yield Case("resume" if name != "generator.safetensors" else "generator_folder", f"folder-{name}", _folder(name))
    yield Case("generator_folder", "zeros-without-end", _device("generator.safetensors"))
    for name, change in _CHANGES.items():
        yield Case("resume", f"checkpoint-{name}", _changed(change))
    for name, file in _NAMES.items():
        yield names_case("terminal", f"name-{name}", file)


_NAMES = {
    "clear": "\x1b[2J\x1b[H.png",
    "title": "\x1b]0;owned\x07.png",
    "bell": "a\x07.png",
    "carriage": "harmless.png\rrm -rf.png",
    "newline": "a\nb.png",
    "right-to-left": "a\u202egnp.exe\u202c.png",
    "isolate": "a\u2066b\u2069.png",
    "csi": "a\x9b31m.png",
    "not-utf8": os.fsdecode(b"a\xff\xfe.png"),
    "line-separator": "a\u2028b.png",
    "shell": "$(touch trapped)`touch trapped`;touch trapped.png",
}


def _linked(name: str) -> Write:
    """A run in which one name is a link to a file, or folder, of the victim's."""

    def write(path: Path) -> None:
        trained_run(path)
        place, there = path / name, path.parent / VICTIM / name.partition(".")[0]
        if place.is_file():
            place.rename(there)
        elif place.is_dir():
            os.rename(place, there)
        elif "." in name:
            there.write_text("mine")
        else:
            there.mkdir()
        place.symlink_to(there)

    return write


def _emptied(path: Path, name: str) -> Path:
    trained_run(path)
    (path / name).unlink(missing_ok=True)
    return path / name


def _pipe(name: str) -> Write:
    return lambda path: os.mkfifo(_emptied(path, name))


def _folder(name: str) -> Write:
    return lambda path: _emptied(path, name).mkdir()


def _device(name: str) -> Write:
    return lambda path: _emptied(path, name).symlink_to("/dev/zero")


Tensors = dict[str, torch.Tensor]
Change = Callable[[dict[str, Any], Tensors], object]


def _changed(change: Change) -> Write:
    """A run whose only checkpoint says something else, with a checksum that is right for it."""

    def write(path: Path) -> None:
        plain, tensors = trained_run(path)
        change(plain, tensors)
        (file,) = (path / "checkpoints").glob("*.safetensors")
        text = json.dumps(plain | {"format": FORMAT, "sha256": _digest(tensors)})
        write_tensors(file, tensors, {"checkpoint": text})

    return write


def _tensor(name: str, value: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    def change(_: dict[str, Any], tensors: Tensors) -> None:
        full = next(key for key in tensors if key.endswith(name))
        tensors[full] = value(tensors[full])

    return change


def _renumbered(tensors: Tensors, number: str) -> None:
    """Add moments of a parameter that is not there."""
    tensors |= {key.replace(".0.", number): t.clone() for key, t in tensors.items() if ".0.exp" in key}


def _counter(name: str, value: Any) -> Change:
    return lambda plain, _: plain["counters"].update({name: value})


_CHANGES: dict[str, Change] = {
    "moments-short": _tensor("exp_avg", lambda t: t.flatten()[:1].clone()),
    "moments-long": _tensor("exp_avg", lambda t: torch.zeros(t.numel() + 1)),
    "moments-double": _tensor("exp_avg_sq", lambda t: t.double()),
    "moments-integers": _tensor("exp_avg_sq", lambda t: t.long()),
    "step-vector": _tensor(".step", lambda t: torch.zeros(5)),
    "moments-missing": lambda plain, t: [t.pop(key) for key in list(t) if key.endswith("exp_avg")],
    "moments-of-more": lambda plain, t: _renumbered(t, ".999."),
    "moments-negative": lambda plain, t: _renumbered(t, ".-1."),
    "no-tensors": lambda plain, t: t.clear(),
    "weights-other": _tensor("weight", lambda t: torch.zeros(2, 2)),
    "noise-short": _tensor("noise", lambda t: t[:10].clone()),
    "noise-floats": _tensor("noise", lambda t: t.float()),
    "random-zeros": _tensor("torch", lambda t: torch.zeros(3, dtype=torch.uint8)),
    "norms-other": _tensor("looks.norms", lambda t: torch.zeros(1)),
    "means-square": _tensor("looks.means", lambda t: torch.zeros(3, 3)),
    "counters-none": lambda plain, t: plain["counters"].clear(),
    "updates-text": _counter("updates", "1"),
    "updates-negative": _counter("updates", -1),
    "average-huge": _counter("average", 2**63),
    "counts-text": _counter("counts", {"loss_d": "1"}),
    "seen-list": _counter("seen", [1]),
    "health-none": _counter("health", None),
    "health-lines": _counter("health", {"rollbacks": 0, "lines": [{"a": "b"}], "pending": [], "present": []}),
    "health-rollbacks": _counter("health", {"rollbacks": 10**9, "lines": [], "pending": [], "present": []}),
    "health-present": _counter("health", {"rollbacks": 0, "lines": [], "pending": [], "present": [1]}),
    "place-epoch": lambda plain, t: plain.update({"place": {"epoch": 2**63, "offset": 0}}),
    "place-none": lambda plain, t: plain.update({"place": {}}),
}
