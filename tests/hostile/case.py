"""What a case of the corpus is: a name, the reader that it is for, and how to write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Write = Callable[[Path], None]
"""Writes the hostile file, or folder, at a path in an empty folder."""


@dataclass(frozen=True)
class Case:
    """A malformed input. It has to end in an error for people, or be left out and counted."""

    reader: str
    """A key of `readers.READERS`."""
    name: str
    write: Write


def bytes_of(content: bytes) -> Write:
    """A case that is a file with this content."""

    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def files_of(files: dict[str, bytes]) -> Write:
    """A case that is a folder with these files."""

    def write(path: Path) -> None:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)

    return write
