"""The one exception that means "what you gave me is wrong": the command exits with 2 on it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Wrong usage or input. The message says what, where, and what to do about it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the known name closest to `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def printable(text: object) -> str:
    """`text` with control characters escaped: file names are data, never terminal commands."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
