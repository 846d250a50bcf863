"""The seconds of a training: what it has worked, not what its machine has slept or it has been stopped meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

GAP_SECONDS, GAP_FACTOR = 60.0, 10.0


class Clock:
    """Adds up the laps of a training, one for each step with all that is written after it.

    The source is monotonic: setting the clock changes nothing. On Linux and macOS it also stands still while the
    machine sleeps, but on Windows it goes on, as it does everywhere for a process that is stopped (Ctrl-Z). So a
    lap over a minute that is also over ten times the longest before counts as that longest one.
    """

    def __init__(self, seconds: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.gaps = seconds, 0.0
        """The training's own, and those that were left out in this session."""
        self._now, self._last, self._longest, self._aside = now, now(), 0.0, 0.0

    def lap(self, aside: float = 0.0) -> float:
        """End a lap; returns the seconds of all. aside: those of the session so far that were no training."""
        now = self._now()
        lap = max(now - self._last - (aside - self._aside), 0.0)
        if self._longest and lap > max(GAP_SECONDS, GAP_FACTOR * self._longest):
            self.gaps += lap - self._longest
            lap = self._longest
        self.seconds += lap
        self._last, self._longest, self._aside = now, max(self._longest, lap), aside
        return self.seconds
