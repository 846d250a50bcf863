"""The run directory: what a training leaves behind, and what everything after it starts from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcgan.config import Config
from dcgan.errors import InputError, nearest_beside, printable
from dcgan.files import append_lines, load_yaml, sync_file, sync_folder, to_yaml, write_atomically
from dcgan.images import grid, save_gif, save_png
from dcgan.reading import is_integer, open_regular, parse_json, read_json

GIF_FRAMES = 100
UNBEGUN = {"lock", "samples", "data.json", "data.json.partial", "config.yaml.partial"}
"""All that can be in a folder whose making was cut short before config.yaml: nothing is lost by making it anew."""
LARGEST_GRID, GRID_MODES = 4_000_000, ("L", "RGB", "RGBA")
"""Pixels of a frame of the animation: 5×5 images of 256×256 have 1.7 million."""
LARGEST_DATA_JSON = 32 * 2**20
LARGEST_LOG, LARGEST_READ, LONGEST_LINE = 256 * 2**20, 32 * 2**20, 2**16
"""Bytes of a file of JSON lines that is gone through, of one that is read into memory, and of one line."""


@dataclass(frozen=True)
class Run:
    """A run directory.

    `config.yaml`, `data.json`, `metrics.jsonl`, `samples/`, `checkpoints/`, and the networks ready to use.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, config: Config, data: dict[str, Any]) -> Run:
        """Make the directory, and write the settings and what is known of the data before the first step.

        config.yaml comes last: a directory with it can be resumed, and one without is as good as empty. Raises
        InputError if there is something at `path` already or it cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not is_free(path):
                raise InputError(
                    f"{printable(path)}: exists already and is not empty; name another --out, or --resume it"
                )
            (path / "samples").mkdir(exist_ok=True)
            write_atomically(path / "data.json", json.dumps(data, indent=2).encode())
            write_atomically(path / "config.yaml", to_yaml(config.to_dict()).encode())
            sync_folder(path.parent)
        except FileExistsError as error:
            raise InputError(f"{printable(path)}: exists already and is not a folder; name another --out") from error
        except OSError as error:
            raise InputError(f"{printable(path)}: cannot be written ({error.strerror}); name another --out") from error
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """An existing run directory; InputError if it is none."""
        path = Path(path)
        if os.path.isfile(path):
            raise InputError(f"{printable(path)}: is a file, not a run directory")
        if not os.path.isdir(path):
            raise InputError(f"{printable(path)}: no such run directory{nearest_beside(path)}")
        if not (path / "config.yaml").is_file():
            raise InputError(f"{printable(path)}: not a run directory (no config.yaml in it)")
        return cls(path)

    @property
    def config(self) -> Config:
        """The settings it was started with, and those that a resume may change as they were given last."""
        return Config.from_dict(load_yaml(self.path / "config.yaml"), Config())

    def remember(self, config: Config, names: Iterable[str]) -> None:
        """Have config.yaml say from now on what these settings are."""
        before = self.config
        after = before.replace(**{name: config.flat()[name] for name in names})
        if after != before:
            write_atomically(self.path / "config.yaml", to_yaml(after.to_dict()).encode())

    @property
    def data(self) -> dict[str, Any]:
        """What was known of the data: source, shape, classes, skipped images, the key of the pack."""
        path = self.path / "data.json"
        values = read_json(path, LARGEST_DATA_JSON)
        lists = ("left_out", "skipped", "class_names")
        if (
            not isinstance(values, dict)
            or not all(isinstance(values.get(name, []), list) for name in lists)
            or not all(is_integer(row, 0, 2**40) for row in values.get("left_out", []))
        ):
            raise InputError(f"{printable(path)}: is damaged: what is known of the data is not what a run writes")
        return values

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.path / "checkpoints"

    def require_no_links(self) -> None:
        """Raise InputError if a link is anywhere in it: a command that adds to a run writes into the run alone."""
        folders = [self.path]
        while folders:
            try:
                entries = sorted(os.scandir(folders.pop()), key=lambda entry: entry.name)
            except OSError as error:
                raise InputError(f"{self}: cannot be read ({error.strerror})") from error
            for entry in entries:
                if entry.is_symlink():
                    raise InputError(
                        f"{printable(entry.path)}: is a link, and what a run adds is written into the run alone; "
                        "put what it stands for in its place"
                    )
                if entry.is_dir():
                    folders.append(Path(entry.path))

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; one that a crash cut short is left out."""
        return self._read("metrics.jsonl")

    def health(self) -> list[dict[str, Any]]:
        """The lines of health.jsonl: what was wrong and what was done about it; empty for a healthy run."""
        return self._read("health.jsonl")

    def sessions(self) -> list[dict[str, Any]]:
        """The lines of sessions.jsonl: the start and each resume, with command, versions and hardware."""
        return self._read("sessions.jsonl")

    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of evaluation.jsonl: the scores of `dcgan evaluate`, as `evaluation.scores.Score` writes them."""
        return self._read("evaluation.jsonl", "metric")

    def _read(self, name: str, key: str = "step") -> list[dict[str, Any]]:
        return [record for _, record in self._lines(name, LARGEST_READ) if key in record]

    def _lines(self, name: str, most: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Each line with what it says, but for those that are no record: a crash may have cut one short.

        One at a time, however long the file is. InputError for something else than a file of lines.
        """
        path = self.path / name
        if not path.exists():
            return
        with open_regular(path, most) as file:
            while line := file.readline(LONGEST_LINE):
                if (record := parse_record(line)) is not None:
                    yield line, record

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl; `sync_log` makes sure of it."""
        append_lines(self.path / "metrics.jsonl", json.dumps(record, allow_nan=False) + "\n")

    def sync_log(self) -> None:
        """Bring metrics.jsonl to the disk: it must have what a checkpoint does not log again."""
        sync_file(self.path / "metrics.jsonl")

    def log_health(self, event: dict[str, Any]) -> None:
        """Append one line to health.jsonl."""
        append_lines(self.path / "health.jsonl", json.dumps(event, allow_nan=False) + "\n", lasting=True)

    def log_session(self, facts: dict[str, Any]) -> None:
        """Append one line to sessions.jsonl."""
        append_lines(self.path / "sessions.jsonl", json.dumps(facts, allow_nan=False) + "\n", lasting=True)

    def rewind(self, step: int, images: int) -> None:
        """Forget what was logged and drawn after `step`, when so many `images` had been shown: it is done again."""
        lines = [
            line.rstrip(b"\n") + b"\n"
            for line, record in self._lines("metrics.jsonl", LARGEST_LOG)
            if record.get("step", step + 1) <= step
        ]
        write_atomically(self.path / "metrics.jsonl", b"".join(lines))
        for folder, last in (("samples", images), ("images", step)):
            for path in (self.path / folder).glob("*.png"):
                if path.stem.isascii() and path.stem.isdecimal() and int(path.stem) > last:
                    path.unlink()

    def save_grid(self, images: np.ndarray, columns: int, shown: int) -> Path:
        """Write samples/<images shown>.png."""
        path = self.path / "samples" / f"{shown:010d}.png"
        save_png(path, grid(images, columns))
        return path

    def save_batch_grid(self, images: np.ndarray, batches: int) -> None:
        """Write images/<batches>.png, 5×5, as the blog post's script does."""
        folder = self.path / "images"
        folder.mkdir(exist_ok=True)
        save_png(folder / f"{batches}.png", grid(images[:25], 5))

    def save_animation(self) -> Path | None:
        """Write samples/progress.gif from the grids so far, if there are two or more of one size."""
        paths = sorted((self.path / "samples").glob("*.png"))
        chosen = sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(len(paths), GIF_FRAMES))})
        frames = [frame for index in chosen if (frame := _grid_in(paths[index])) is not None]
        frames = [frame for frame in frames if frame.shape == frames[-1].shape]
        if len(frames) < 2:
            return None
        target = self.path / "samples" / "progress.gif"
        save_gif(target, frames)
        return target

    def __str__(self) -> str:
        return printable(self.path)


def parse_record(line: bytes) -> dict[str, Any] | None:
    """What a line of a log says; None for what is no record, as a line that a crash cut short."""
    try:
        record = parse_json(line.decode("utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) and is_integer(record.get("step", 0)) else None


def _grid_in(path: Path) -> np.ndarray | None:
    """A grid as (H, W, C); None for what is none of ours."""
    from dcgan.data.decode import BadImage, open_image

    try:
        with open_image(path) as image:
            if image.format != "PNG" or image.width * image.height > LARGEST_GRID or image.mode not in GRID_MODES:
                return None
            pixels = np.asarray(image)
    except (BadImage, OSError, ValueError, SyntaxError):
        return None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def default_path(source: str, preset: str, parent: Path = Path("runs")) -> Path:
    """runs/SOURCE-PRESET, or the first of -2, -3, … that is free."""
    first = parent / f"{source}-{preset}"
    number = 1
    path = first
    while path.exists():
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def is_free(path: Path) -> bool:
    """Whether a run may begin in this folder: it is empty, or the making of a run in it was cut short."""
    return all(entry.name in UNBEGUN for entry in path.iterdir()) and not any((path / "samples").glob("*"))
