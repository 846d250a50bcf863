"""The 95 % interval of a share."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""Of a normal distribution, 95 % lies within ± this many standard deviations."""


def wilson(successes: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n independent trials (Wilson 1927); never outside [0, 1], and right near its ends."""
    share, z2 = successes / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return middle - half if share > 0 else 0.0, middle + half if share < 1 else 1.0  # both ends exact
