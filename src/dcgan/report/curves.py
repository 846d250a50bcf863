"""Curves as SVG text: no script, no request, colours from the page's style so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from dcgan.errors import printable

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 26
MOST_POINTS, LEAST = 600, 1e-300
"""Points of a curve; of more, the least and the greatest of each stretch are kept. Powers of ten begin at LEAST, and
numbers that are nearer to each other count as equal."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A named line through points (x, y), x rising; y is finite."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Scale:
    """Where values lie on a stretch of pixels; `low` < `high`, in powers of ten if `log`."""

    low: float
    high: float
    first: float
    last: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.log:
            value = math.log10(max(value, 10**self.low))
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """About five round values within it."""
        if self.log:
            apart = max(1, math.ceil((self.high - self.low) / 5))
            return [10.0**power for power in range(math.ceil(self.low), math.floor(self.high) + 1, apart)]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def chart(title: str, curves: Sequence[Curve], marks: Sequence[tuple[float, str]] = (), log: bool = False) -> str:
    """A figure with one line a curve over the images shown, and a dashed line at each mark (x, what happened there).

    log: powers of ten; what is not positive is left out. Empty text if there is no curve with two points.
    """
    curves = [Curve(c.name, [p for p in c.points if p[0] >= 0 and (not log or p[1] > LEAST)]) for c in curves]
    curves = [curve for curve in curves if len(curve.points) > 1]
    if not curves:
        return ""
    x = Scale(*_padded(0.0, max(x for c in curves for x, _ in c.points), 0), LEFT, WIDTH - RIGHT)
    values = [value for curve in curves for _, value in curve.points]
    y = _upright(values, log)
    names = " and ".join(curve.name for curve in curves)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(f"{title}: {names} over images shown")}">',
        *(_level(y(tick), short(tick)) for tick in y.ticks()),
        *(_column(x(tick), short(tick)) for tick in x.ticks()),
        *(_mark(x(at), what) for at, what in marks if 0 <= at <= x.high),
        *(_line(curve.points, x, y, number) for number, curve in enumerate(curves)),
        "</svg>",
    ]
    legend = "".join(
        f'<span class="key k{number % 6}">{_text(curve.name)} {number_of(curve.points[-1][1])}</span>'
        for number, curve in enumerate(curves)
    )
    return f"<figure class=chart><figcaption>{_text(title)} {legend}</figcaption>{''.join(parts)}</figure>"


def number_of(value: float) -> str:
    """A number for people, with the exact one behind it for programs."""
    return f'<data value="{value!r}">{short(value)}</data>'


def short(value: float) -> str:
    """Three or four digits that count: 0.0123, 4.57, 1,234, 60k, 1.2M."""
    size = abs(value)
    if size == 0:
        return "0"
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):.4g}{letter}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if size >= 1e-4 else f"{value:.1e}"


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> Sequence[Point]:
    """At most so many points with the same outline: of each stretch the least and the greatest, and both ends."""
    if len(points) <= most:
        return points
    pieces = max(1, (most - 2) // 2)
    kept = {0, len(points) - 1}
    for piece in range(pieces):
        rows = range(piece * len(points) // pieces, (piece + 1) * len(points) // pieces)
        kept |= {min(rows, key=lambda row: points[row][1]), max(rows, key=lambda row: points[row][1])}
    return [points[row] for row in sorted(kept)]


def _upright(values: Sequence[float], log: bool) -> Scale:
    """A scale from the bottom to the top that has room for all values."""
    low, high = min(values), max(values)
    if log:
        first = math.floor(math.log10(low))
        return Scale(first, max(first + 1, math.ceil(math.log10(high))), HEIGHT - BOTTOM, TOP, log=True)
    return Scale(*_padded(low, high, 0.05), HEIGHT - BOTTOM, TOP)


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    """The stretch a little wider, and never so narrow that there are no steps in it."""
    room = (high - low) * share
    if high - low < LEAST:
        near = abs(high) * 0.05
        room = near if near > LEAST else 1.0
    return low - room, high + room


def _line(points: Sequence[Point], x: Scale, y: Scale, number: int) -> str:
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in thinned(points))
    return f'<polyline class="c{number % 6}" points="{path}"/>'


def _level(at: float, text: str) -> str:
    across = f'<line class=rule x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
    return f'{across}<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor=end>{text}</text>'


def _column(at: float, text: str) -> str:
    return f'<text x="{at:.1f}" y="{HEIGHT - 8}" text-anchor=middle>{text}</text>'


def _mark(at: float, what: str) -> str:
    line = f'<line class=mark x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}">'
    return f"{line}<title>{_text(what)}</title></line>"


def _text(name: str) -> str:
    return escape(printable(name[:100]))
