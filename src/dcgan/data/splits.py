"""Training and test images side by side, as many sets come: folders `train` and `test`, or archives called so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dcgan.data.source import SPLITS, TAR_EXTENSIONS, Split

ARCHIVES = (".zip", *TAR_EXTENSIONS)


def chosen(names: Iterable[str], split: Split) -> str:
    """Which of the names is meant by the split; empty unless they are those of splits, both, and no others."""
    by_word = {name.lower(): name for name in names}
    wanted = {which: [word for word in words if word in by_word] for which, words in SPLITS.items()}
    if not all(wanted.values()) or sum(map(len, wanted.values())) < len(by_word):
        return ""
    return by_word[wanted[split][0]]


def archive_of_split(folder: Path, split: Split) -> Path | None:
    """The archive of a split in a folder that has one for each, and no other; None in others."""
    archives = [path for path in folder.iterdir() if _is_archive(path)]
    by_name = {path.name.split(".")[0]: path for path in archives}
    name = chosen(by_name, split)
    return by_name[name] if name and len(by_name) == len(archives) else None


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES) and not path.name.startswith(".") and path.is_file()
