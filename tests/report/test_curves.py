from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcgan.report.curves import HEIGHT, WIDTH, Curve, Scale, chart, short, thinned
from tests.report.reading import Page


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    lines = [attributes["points"] or "" for attributes in Page(svg).all("polyline")]
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in lines]  # type: ignore[misc]


def test_points_lie_where_their_values_are() -> None:
    (line,) = points_of(chart("t", [Curve("a", [(0, 0.0), (50, 1.0), (100, 0.25)])]))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert (y0 - y2) / (y0 - y1) == pytest.approx(0.25, abs=2e-3)  # upwards is less; a tenth of a pixel is rounding
    (line,) = points_of(chart("t", [Curve("a", [(0, 0.1), (1, 10.0), (2, 1.0)])], log=True))
    assert (line[0][1] - line[2][1]) / (line[0][1] - line[1][1]) == pytest.approx(0.5, abs=2e-3)


def test_ticks_are_round_and_within() -> None:
    assert Scale(0.0, 1.0, 0, 1).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert Scale(-3.0, 12.0, 0, 1).ticks() == pytest.approx([0, 5, 10])
    assert Scale(-3, 2, 0, 1, log=True).ticks() == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10, 100])


@pytest.mark.parametrize("high", [0.0, 5e-324, 1e-323, 3e-323, 1e-310, 1e-299])
@pytest.mark.parametrize("low", [0.0, 5e-324, 1e-310])
def test_numbers_next_to_nothing_are_drawn(low: float, high: float) -> None:
    (line,) = points_of(chart("t", [Curve("a", [(0, low), (1, high)])]))
    assert all(0 <= y <= HEIGHT for _, y in line)
    (line,) = points_of(chart("t", [Curve("a", [(0, 1.0), (high, 2.0)])]))
    assert all(0 <= x <= WIDTH for x, _ in line)


def test_short_numbers() -> None:
    numbers = [0, 0.01234567, 4.5678, 1234.5, 60000, 698688, 1.25e6, 3.2e9, 1e-7, -0.5]
    assert [short(n) for n in numbers] == [
        *("0", "0.01235", "4.568", "1,234", "60k", "698.7k", "1.25M", "3.2G", "1.0e-07", "-0.5")
    ]


def test_thinning_keeps_ends_and_extremes() -> None:
    points = [(float(i), float(i % 7)) for i in range(10_000)]
    points[1234] = (1234.0, 99.0)
    points[4321] = (4321.0, -99.0)
    few = thinned(points, 100)
    assert len(few) <= 100
    assert {points[0], points[-1], points[1234], points[4321]} <= set(few)
    assert list(few) == sorted(few)


def test_there_is_no_chart_of_nothing() -> None:
    assert (
        chart("t", [])
        == chart("t", [Curve("a", [(1, 1.0)])])
        == chart("t", [Curve("a", [(0, 0.0)] * 5)], log=True)
        == ""
    )


def test_names_and_marks_are_text() -> None:
    svg = chart("<t>", [Curve('"><script>', [(0, 1.0), (9, 2.0)])], [(5, "</title><script>"), (99, "later")])
    page = Page(svg)
    assert not page.all("script")
    assert "</title><script>" in page.text
    assert "later" not in page.text


reals = st.floats(-1e300, 1e300, allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(reals, reals), max_size=8), st.booleans())
def test_any_numbers_stay_within_the_frame(points: list[tuple[float, float]], log: bool) -> None:
    svg = chart("t", [Curve("a", points)], log=log)
    for line in points_of(svg) if svg else []:
        assert all(-1 <= x <= WIDTH + 1 and -1 <= y <= HEIGHT + 1 for x, y in line)
    assert not re.search(r"\b(nan|inf)\b", svg)
