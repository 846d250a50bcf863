"""What is asked of the features, and what is answered: plain values that go into the JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from dcgan.errors import InputError
from dcgan.latents import check_seed


@dataclass(frozen=True)
class Protocol:
    """What is asked of the features."""

    labels: int | None = None
    """How many labelled images train the SVM, balanced over the classes; None: all."""
    draws: int = 10
    """How often so many are drawn; one set of all."""
    choose: str = "validation"
    """How C is chosen: by `validation` images with labels, or by `cv` on the labelled images alone."""
    c: tuple[float, ...] = ()
    """C to choose from; none: RATIOS by the features' mean squared length."""
    validation: int | None = None
    """Labelled images that choose C and are in no draw."""
    folds: int = 5
    trials: int = 16
    """Of the supervised control's random search."""
    augment: bool = False
    """Let the supervised control move its images."""
    standardise: bool = False
    """Give each feature mean 0 and variance 1 over the training images; the paper says nothing of it."""
    mirror: bool = False
    """Average the features of each image, those of pixels too, with the features of its mirror; nor of this."""
    seed: int = 0

    def check(self) -> None:
        """InputError that says which value makes no sense."""
        whole = {"labels": self.labels, "draws": self.draws, "validation": self.validation, "trials": self.trials}
        for name, value in whole.items():
            if value is not None and value < 1:
                raise InputError(f"{name}: {value} is not at least 1")
        if self.folds < 2:
            raise InputError(f"folds: {self.folds} is not at least 2")
        check_seed(self.seed)
        if self.choose not in ("validation", "cv"):
            raise InputError(f"choose: {self.choose!r} is neither validation nor cv")
        if any(not 0 < c < float("inf") for c in self.c):
            raise InputError(f"c: {', '.join(f'{c:g}' for c in self.c)}; numbers above 0 are wanted")


@dataclass(frozen=True)
class Row:
    """One line of the table. Errors are shares of wrongly classed images."""

    features: str
    """D, random D, pixels or supervised."""
    dimensions: int | None
    error: float
    """On the test images; the mean over draws."""
    low: float
    high: float
    """95 % interval of `error`."""
    interval: str
    """What the interval is of."""
    deviation: float | None
    """Standard deviation of single draws."""
    errors: tuple[float, ...]
    """Of each draw."""
    chosen: tuple[float | dict[str, Any], ...]
    """The C of each draw (or one for all), or the supervised network's trial."""
    choice: tuple[dict[str, Any], ...]
    """Everything that was tried, with its error, on what C was chosen by."""
    how: str
    """What the features are, in words."""
    seconds: float


@dataclass(frozen=True)
class Probe:
    """The rows, and what they are of."""

    rows: tuple[Row, ...]
    protocol: dict[str, Any]
    complete: bool = True
    """Whether these are all rows that were asked for."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        return {"complete": self.complete, "protocol": self.protocol, "rows": rows}
