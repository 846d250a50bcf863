"""What was found, for people: pages of pictures, groups.json, a list of what may go; and moving it aside if asked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcgan.curation.dedup import Duplicates
from dcgan.data.decode import BadImage, upright_size
from dcgan.data.listings import FolderSource
from dcgan.data.pack import Pack
from dcgan.data.source import Source
from dcgan.errors import InputError, printable
from dcgan.files import require_new, write_atomically
from dcgan.images import save_png

COLUMNS, ROWS, PAGES = 14, 10, 10
"""Pictures on a page, and pages at most."""
SHOWN = 7
"""Pictures of one group, at most."""
_GAP, _FRAME = 2, 255


@dataclass(frozen=True)
class Copy:
    """An image of a group."""

    name: str
    row: int
    """In the pack."""
    height: int
    width: int
    agreement: float
    """With the group's image of the lowest row, in [0, 1]."""
    bits: int
    """Of the 128 of the code, by which it differs from that image's."""


Copies = tuple[Copy, ...]
"""A group, the best first: the largest picture, of equally large ones the first."""


def copies(source: Source, pack: Pack, found: Duplicates) -> list[Copies]:
    """The groups with their names and sizes. Raises InputError if the data has changed since it was packed."""
    skipped = {name for name, _ in pack.skipped}
    wanted = {row for group in found.groups for row in group.members}
    names: dict[int, str] = {}
    sizes: dict[int, tuple[int, int]] = {}
    row = 0
    for item in source.items():
        if item.name in skipped:
            continue
        if row in wanted:
            names[row] = item.name
            try:
                with item.load() as image:
                    sizes[row] = upright_size(image)
            except (BadImage, OSError) as error:
                raise InputError(f"{printable(item.name)}: was a picture and is none now ({error})") from error
        row += 1
    if row != len(pack.images):
        raise InputError(f"{pack.source}: was changed meanwhile; run this again")
    groups = []
    for group in found.groups:
        facts = zip(group.members, group.agreement, group.bits, strict=True)
        some = [Copy(names[row], row, *sizes[row], agreement, bits) for row, agreement, bits in facts]
        groups.append(tuple(sorted(some, key=lambda copy: (-copy.height * copy.width, copy.row))))
    return groups


def write_report(folder: Path, pack: Pack, groups: Sequence[Copies], facts: dict[str, Any]) -> None:
    """groups.json, duplicates.txt (all but the best of each group, a name a line) and page-01.png, … in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    described = [{"keep": asdict(best), "duplicates": list(map(asdict, others))} for best, *others in groups]
    content = {"source": pack.source, "images": len(pack.images), **facts, "groups": described}
    for number, page in enumerate(pages(pack.images, groups), 1):
        save_png(folder / f"page-{number:02d}.png", page)
    names = [printable(copy.name) + "\n" for _, *others in groups for copy in others]
    write_atomically(folder / "duplicates.txt", "".join(names).encode())
    write_atomically(folder / "groups.json", json.dumps(content, indent=1).encode())


def pages(images: np.ndarray, groups: Sequence[Copies]) -> list[np.ndarray]:
    """The first groups on sheets, uint8 (H, W, C): each group's pictures side by side, the best in a white frame."""
    height, width, channels = images.shape[1:]
    cell = (height + 2 * _GAP, width + 2 * _GAP)
    sheets: list[np.ndarray] = []
    at = COLUMNS * ROWS  # so that the first group begins a page
    for group in groups:
        shown = group[:SHOWN]
        if at % COLUMNS + len(shown) > COLUMNS:
            at += COLUMNS - at % COLUMNS
        if at >= COLUMNS * ROWS:
            if len(sheets) == PAGES:
                break
            sheets.append(np.zeros((ROWS * cell[0], COLUMNS * cell[1], channels), np.uint8))
            at = 0
        for place, copy in enumerate(shown, at):
            top, left = place // COLUMNS * cell[0], place % COLUMNS * cell[1]
            if place == at:
                sheets[-1][top : top + cell[0], left : left + cell[1]] = _FRAME
            sheets[-1][top + _GAP : top + _GAP + height, left + _GAP : left + _GAP + width] = images[copy.row]
        at += len(shown)
    if sheets:
        sheets[-1] = sheets[-1][: (at - 1) // COLUMNS * cell[0] + cell[0]]
    return sheets


def check_move(source: Source, folder: Path) -> None:
    """Raise InputError unless the source is a folder of files, and `folder` is not there and not inside of it."""
    if not isinstance(source, FolderSource):
        raise InputError(f"move_to: only files of a folder can be moved, and this is {source.description}")
    require_new(folder, folders=False, option="--move-to")
    if folder.resolve().is_relative_to(source.path.resolve()):
        raise InputError(f"{printable(folder)}: is inside of the data; name a --move-to outside of it")


def move_aside(source: Source, groups: Sequence[Copies], folder: Path) -> tuple[int, int]:
    """Move all but the best file of each group to the same path below `folder`; returns how many, and how many stay.

    Links stay where they are, and what they lead to: none comes to lead nowhere, and nothing outside of the data is
    moved. Nothing is written over. Raises InputError as `check_move` does, and when a file cannot be moved; those
    before it are then in `folder`.
    """
    check_move(source, folder)
    assert isinstance(source, FolderSource)
    linked = _linked(source)
    moved = stay = 0
    for _, *others in groups:
        for copy in others:
            if copy.name in linked:
                stay += 1
                continue
            target = folder / copy.name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.exists():
                    raise FileExistsError(None, "exists already")
                shutil.move(source.path / copy.name, target)
            except OSError as error:
                reason = error.strerror or error
                raise InputError(
                    f"{printable(copy.name)}: cannot be moved to {printable(folder)} ({reason}); "
                    f"{moved:,} files were moved before it"
                ) from error
            moved += 1
    return moved, stay


def _linked(source: FolderSource) -> set[str]:
    """The names that are links, or below one, and those of the files in the folder that they lead to."""
    root = os.path.realpath(source.path)
    real = {name: os.path.realpath(os.path.join(root, name)) for name in source.names}
    links = {name for name, place in real.items() if place != os.path.normpath(os.path.join(root, name))}
    reached = {real[name] for name in links}
    return {name for name, place in real.items() if place in reached}
