"""The seconds of a training: laps as they are, but not what the machine slept."""

from collections.abc import Sequence

import pytest

from dcgan.training.clock import Clock


def clock(times: Sequence[float], seconds: float = 0.0) -> Clock:
    return Clock(seconds, iter([0.0, *times]).__next__)


def test_laps_add_up() -> None:
    laps = clock([1, 3, 6], seconds=10)
    assert [laps.lap() for _ in range(3)] == [11, 13, 16]
    assert laps.gaps == 0


def test_what_is_aside_counts_once() -> None:
    laps = clock([1, 101, 102])
    assert [laps.lap(aside) for aside in (0, 99, 99)] == [1, 2, 3]


def test_a_night_asleep_counts_as_the_longest_lap() -> None:
    laps = clock([1, 3, 30_003, 30_004])
    assert [laps.lap() for _ in range(4)] == [1, 3, 5, 6]
    assert laps.gaps == 29_998


@pytest.mark.parametrize(("times", "seconds"), [([500, 800], 800), ([1, 56], 56), ([7, 76], 76)])
def test_slow_steps_are_no_gap(times: list[float], seconds: float) -> None:
    """A first step however long, a pause under a minute, and one under ten times the longest."""
    laps = clock(times)
    for _ in times:
        total = laps.lap()
    assert total == seconds
