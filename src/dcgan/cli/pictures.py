"""Options that several commands about pictures have, and how numbers out of their range are said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

Data = Annotated[
    tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA", help="A folder, zip, tar, IDX files or a known name.")
]
DataRoot = Annotated[
    Path | None, tyro.conf.arg(metavar="FOLDER", help="Where known names are looked for; else $DCGAN_DATA.")
]
MaxSkipped = Annotated[
    float, tyro.conf.arg(metavar="X", help="Share of unreadable images above which DATA is refused, in [0, 1].")
]


def outside(*ranges: tuple[str, float | None, float, float]) -> list[str]:
    """What is wrong with each (name, value, low, high) whose value is given and not in [low, high]."""
    return [
        f"{name}: {value:g} is outside [{low:g}, {high:g}]"
        for name, value, low, high in ranges
        if value is not None and not low <= value <= high
    ]
