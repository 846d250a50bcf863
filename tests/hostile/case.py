"""What a case of the corpus is: a name, the reader that it is for, and how to write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


Content = bytes | Callable[[], bytes]
"""What a file holds; large contents are made when they are written."""


def bytes_of(content: Content) -> Write:
    """A case that is a file with this content."""

    def write(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content())

    return write


def files_of(files: Mapping[str, Content]) -> Write:
    """A case that is a folder with these files."""

    def write(path: Path) -> None:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            bytes_of(content)(path / name)

    return write
