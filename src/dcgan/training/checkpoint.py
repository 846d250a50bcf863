"""Checkpoints: one safetensors file with everything a resume needs, written atomically, checked when read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dcgan import distributed
from dcgan.errors import InputError, printable
from dcgan.files import read_tensors, write_tensors
from dcgan.progress import Position
from dcgan.reading import is_integer, is_number, parse_json
from dcgan.values import brief

FORMAT = "dcgan-checkpoint-1"
PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"}


@dataclass(frozen=True)
class Checkpoint:
    """A training at one moment."""

    position: Position
    place: dict[str, int]
    """Where in the shuffled data."""
    counters: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    settings: dict[str, Any]

    def save(self, folder: Path, keep: int, sound: int = 0) -> Path:
        """Write it into the folder, then remove all but the newest `keep` and the newest up to the step `sound`."""
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.position.step:09d}.safetensors"
        plain = {
            "format": FORMAT,
            "position": asdict(self.position),
            "place": self.place,
            "counters": self.counters,
            "settings": self.settings,
            "sha256": _digest(self.tensors),
        }
        write_tensors(path, self.tensors, {"checkpoint": json.dumps(plain)})
        for old in set(saved(folder)[:-keep]) - set(saved(folder, sound)[-1:]):
            old.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read one back; InputError if anything in it is damaged or it is no checkpoint of ours."""
        tensors, metadata = read_tensors(path)
        try:
            plain = parse_json(metadata["checkpoint"], nan=True)  # a look may have seen one
            if plain["format"] != FORMAT:
                raise InputError(f"format {brief(plain['format'])} is not {FORMAT!r}; another version wrote it?")
            if plain["sha256"] != _digest(tensors):
                raise InputError("damaged (its checksum is wrong)")
            position = Position(**plain["position"])
            if not (is_integer(position.step) and is_integer(position.images) and is_number(position.seconds)):
                raise ValueError("its position is no number of steps, images and seconds")
            if not all(is_integer(value) for value in plain["place"].values()):
                raise ValueError("its place in the data is none")
            return cls(position, dict(plain["place"]), dict(plain["counters"]), tensors, dict(plain["settings"]))
        except InputError as error:
            raise InputError(f"{printable(path)}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            said = printable(repr(error))[:200]
            raise InputError(f"{printable(path)}: not a checkpoint of dcgan ({said})") from error


def saved(folder: Path, until: int | None = None) -> list[Path]:
    """The checkpoints of a folder, oldest first; those up to a step, if it is given.

    Their names are steps: a copy under another name is somebody's own, and neither resumed nor removed.
    """
    paths = [path for path in folder.glob("*.safetensors") if path.stem.isdecimal()]
    paths = sorted(paths, key=lambda path: int(path.stem))
    return paths if until is None else [path for path in paths if int(path.stem) <= until]


def newest(folder: Path, until: int | None = None) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint (up to a step, if it is given) that can be read, and why each newer one cannot.

    None if there is no checkpoint at all. Raises InputError if there are some and none can be read.
    """
    problems: list[str] = []
    for path in reversed(saved(folder, until)):
        try:
            return Checkpoint.load(path), problems
        except InputError as error:
            problems.append(str(error))
    problems += [
        f"{printable(path)}: a pickle is never loaded" for path in sorted(folder.glob("*")) if path.suffix in PICKLES
    ]
    if not saved(folder):
        problems += [
            f"{printable(path)}: to resume from it, name it by its step: {1000:09d}.safetensors"
            for path in sorted(folder.glob("*.safetensors"))
        ]
    if problems:
        raise InputError(
            f"{printable(folder)}: no checkpoint in it can be read\n" + "\n".join(f"  - {p}" for p in problems)
        )
    return None, problems


def newest_for_all(folder: Path, until: int | None = None) -> tuple[Checkpoint | None, list[str]]:
    """`newest`, read by the main process for all of them."""
    if distributed.world() == 1:
        return newest(folder, until)
    from safetensors.torch import load, save

    found: list[Checkpoint] = []

    def read() -> tuple[dict[str, Any] | None, list[str]]:
        checkpoint, problems = newest(folder, until)
        if checkpoint is None:
            return None, problems
        found.append(checkpoint)
        names = ("place", "counters", "settings")
        return {"position": asdict(checkpoint.position)} | {n: getattr(checkpoint, n) for n in names}, problems

    plain, problems = distributed.from_main(read)
    if plain is None:
        return None, problems
    tensors = load(distributed.bytes_from_main(save(found[0].tensors) if found else b""))
    plain["position"] = Position(**plain["position"])
    return Checkpoint(tensors=tensors, **plain), problems


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
