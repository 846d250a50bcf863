"""Pieces of the page. Whatever comes from outside goes through `text`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from dcgan.errors import printable
from dcgan.report.curves import number_of

LONGEST, LARGEST = 1000, 1e300


def text(value: object) -> str:
    """Anything from outside as HTML that shows it, its first 1,000 characters at most, and does nothing."""
    shown = str(value)
    return escape(printable(shown[:LONGEST] + ("…" if len(shown) > LONGEST else "")))


def shown(value: object) -> str:
    """A number as HTML; empty if it is none."""
    number = finite(value)
    return "" if number is None else number_of(number)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[int] = frozenset()) -> str:
    """A table of cells that are HTML already; the columns `numbers` are set to the right."""
    kinds = [' class="n"' if column in numbers else "" for column in range(len(heads))]
    head = "".join(f"<th{kind}>{escape(text)}</th>" for kind, text in zip(kinds, heads, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    # On a phone it is scrolled sideways, which those without a pointer do when it has the focus.
    scrolled = f'class="wide" tabindex="0" role="group" aria-label="table by {escape(heads[0])}"'
    return f"<div {scrolled}><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def figure(picture: tuple[str, tuple[int, int]], caption: str, what: str) -> str:
    """An embedded picture with its size, HTML below it, and plain words for those who do not see it."""
    address, (width, height) = picture
    image = f'<img src="{address}" alt="{escape(what)}" width="{width}" height="{height}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def records(lines: Iterable[Any]) -> list[dict[str, Any]]:
    """Those lines of a file that are objects; a line that is not is none of ours."""
    return [line for line in lines if isinstance(line, dict)]


def finite(value: object) -> float | None:
    """A number that can be drawn as itself, all else as None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < LARGEST else None  # not so NaN
