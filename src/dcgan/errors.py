"""The two ways to fail with words for the user: wrong input (exit code 2), and a training gone wrong (1)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class InputError(ValueError):
    """Wrong usage or input. The message says what, where, and what to do about it."""


class TrainingError(RuntimeError):
    """The training cannot go on. The message says why and what to try."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the known name closest to `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.65)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def printable(text: object) -> str:
    """`text` with control characters escaped: file names are data, never terminal commands."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def without_folders(text: object) -> str:
    """`text` with the folders of the paths in it left out, for what others are to read: /home/me/photos → photos."""
    kept = str(text).rstrip("/\\")
    separators = [at for at, letter in enumerate(kept) if letter in "/\\"]
    if separators:  # from the beginning of the word with the first of them to the last of them
        before = kept[: separators[0]]
        kept = before[: len(before) - len(re.split(r"\s", before)[-1])] + kept[separators[-1] + 1 :]
    return printable(kept)
