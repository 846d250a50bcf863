"""Training and test images side by side, as many sets come: folders `train` and `test`, or archives called so."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dcgan.data.source import ARCHIVES, SPLITS, Split


def chosen(names: Iterable[str], split: Split) -> str:
    """Which of the names is meant by the split; empty unless they are those of splits, both, and no others."""
    by_word = {name.lower(): name for name in names}
    wanted = {which: [word for word in words if word in by_word] for which, words in SPLITS.items()}
    if not all(wanted.values()) or sum(map(len, wanted.values())) < len(by_word):
        return ""
    return by_word[wanted[split][0]]


def archive_of_split(folder: Path, split: Split) -> Path | None:
    """The archive of a split in a folder that has one for each, and no other; None in others."""
    archives = [
        name
        for name in os.listdir(folder)  # of a million pictures, none of which becomes a Path
        if name.lower().endswith(ARCHIVES) and not name.startswith(".") and (folder / name).is_file()
    ]
    by_stem = {name.split(".")[0]: name for name in archives}
    stem = chosen(by_stem, split)
    return folder / by_stem[stem] if stem and len(by_stem) == len(archives) else None
