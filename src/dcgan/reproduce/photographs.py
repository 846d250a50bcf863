"""What Figures 2 to 8 have in common: networks that draw photographs of one kind."""

from __future__ import annotations

from collections.abc import Mapping

from dcgan.reproduce.experiment import Plan

BEDROOMS = "3,033,042 LSUN bedrooms"
FACES = "350,000 faces from the web"
SOURCES = ("lsun-bedroom", "celeba")
"""What is taken for bedrooms when no data is given."""
JUDGE = "a classifier trained on other labelled images than the one that picked"
"""Who says what is seen in Figures 7 and 8, for their protocols."""
SMALL_IMAGES = 300_000
"""Real images shown at the small scale: half an hour on one core with AMX at 64×64, about an hour without."""


def plans(
    numbers: Mapping[str, int], n_epochs: float | None = None, full_epochs: float | None = None
) -> dict[str, Plan]:
    """`fast` for so many images, and the paper's 64×64 networks; or both for so many passes over the data."""
    length: dict[str, float | int] = {"images": SMALL_IMAGES} if n_epochs is None else {"n_epochs": n_epochs}
    epochs = full_epochs if n_epochs is None else n_epochs
    return {
        "small": Plan("fast", length, numbers),
        "full": Plan("paper", {} if epochs is None else {"n_epochs": epochs}, numbers),
    }
