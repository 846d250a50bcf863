"""What a notebook shows of long work: one output that is brought up to date. It wants no widgets and no scripts."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import Any

LARGEST_GRID = 400_000
"""Bytes of a picture that is shown with the bar; larger ones would make the notebook slow."""


class Panel:
    """A bar, a line and the last grid of samples, below the cell that is running."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, share: float, line: str, picture: Path | None) -> None:
        """Bring it up to date; share: of the work that is done, in [0, 1]."""
        from IPython.display import HTML, display

        shown = HTML(render(share, line, picture))
        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)


def render(share: float, line: str, picture: Path | None) -> str:
    """The panel as HTML; nothing in it is run or asked for, and what is not there is left out."""
    bar = f'<progress value="{min(max(share, 0.0), 1.0):.4f}" max="1" style="width:100%"></progress>'
    return f"<div>{bar}<div>{share:.0%} · {escape(line)}</div>{_image(picture)}</div>"


def _image(picture: Path | None) -> str:
    try:
        if picture is None or picture.stat().st_size > LARGEST_GRID:
            return ""
        content = base64.b64encode(picture.read_bytes()).decode()
    except OSError:
        return ""
    return f'<img alt="the last grid of samples" src="data:image/png;base64,{content}">'
