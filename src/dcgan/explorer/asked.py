"""What the page may ask for: every request's shape and bounds, from which the OpenAPI description is made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SAFE = 2**53 - 1
"""The largest whole number that JavaScript keeps exactly."""
MOST_NUMBER = 2**40
MOST_IMAGES = 256
MOST_PICKS = 64
MOST_REACH = 20.0

Seed = Annotated[int, Field(ge=0, le=SAFE)]
Number = Annotated[int, Field(ge=0, lt=MOST_NUMBER)]
Truncation = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Label = Annotated[str, Field(min_length=1, max_length=4000)]
"""A folder's name of 255 letters has ten times as many where each is escaped."""
Edit = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
"""The id of a generator that has forgotten something."""
Amount = Annotated[float, Field(ge=-MOST_REACH, le=MOST_REACH, allow_inf_nan=False)]


class Asked(BaseModel):
    """Names that are not known are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Pick(Asked):
    """One sample, as `dcgan sample` numbers and draws it."""

    seed: Seed = 0
    number: Number
    label: Label | None = None
    """Class name or number; without one a conditional generator's samples go through all classes in turn."""
    truncation: Truncation | None = None


class Samples(Asked):
    """Samples of a seed that follow each other."""

    seed: Seed = 0
    start: Number = 0
    count: Annotated[int, Field(ge=1, le=MOST_IMAGES)] = 25
    label: Label | None = None
    truncation: Truncation | None = None
    edit: Edit | None = None


Picks = Annotated[list[Pick], Field(min_length=1, max_length=MOST_PICKS)]
Group = Annotated[list[Pick], Field(min_length=1, max_length=16)]


class Drawn(Asked):
    """Samples of any seeds, classes and truncations."""

    picks: Picks
    edit: Edit | None = None


class Path(Asked):
    """A way through samples, both ends included."""

    through: Annotated[list[Pick], Field(min_length=2, max_length=9)]
    steps: Annotated[int, Field(ge=2, le=120)] = 24
    """Frames from one sample to the next, both included."""
    interpolation: Literal["spherical", "linear"] = "spherical"
    loop: bool = False


class Own(Asked):
    """A direction of one's own: from the mean z of one group to that of another."""

    start: Group
    end: Group
    amount: Amount


class Move(Asked):
    """Steps along directions, added to a latent."""

    principal: Annotated[dict[Annotated[str, Field(pattern="^[0-9]{1,3}$")], Amount], Field(max_length=64)] = {}
    """Number of a principal direction → standard deviations."""
    own: Annotated[list[Own], Field(max_length=8)] = []


class Slid(Asked):
    """Every sample with every move: a row a sample."""

    picks: Annotated[list[Pick], Field(min_length=1, max_length=16)]
    moves: Annotated[list[Move], Field(min_length=1, max_length=32)]


class Sum(Asked):
    """A - B + C of groups of samples."""

    a: Group
    b: Group
    c: Group
    noise: Annotated[float, Field(ge=0, le=4, allow_inf_nan=False)] = 0.25
    seed: Seed = 0


class DrawnBox(Asked):
    """A rectangle in a sample, in pixels."""

    number: Number
    top: Annotated[int, Field(ge=0, lt=4096)]
    left: Annotated[int, Field(ge=0, lt=4096)]
    height: Annotated[int, Field(ge=1, le=4096)]
    width: Annotated[int, Field(ge=1, le=4096)]


class Unwanted(Asked):
    """What should go: boxes on samples of one seed."""

    seed: Seed = 0
    label: Label | None = None
    truncation: Truncation | None = None
    boxes: Annotated[list[DrawnBox], Field(min_length=1, max_length=256)]
    scale: Annotated[int, Field(ge=2, le=256)] = 2
    maps: Annotated[int, Field(ge=1, le=100_000)] | None = None


class Name(Asked):
    """What an edited generator is saved as."""

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,39}$")]


class Since(Asked):
    """Where the last look at a log ended."""

    version: Annotated[str, Field(max_length=40)] = ""
    offset: Annotated[int, Field(ge=0, le=SAFE)] = 0


class Honest(Asked):
    """Samples, and how many real images to show beside each."""

    picks: Annotated[list[Pick], Field(min_length=1, max_length=16)]
    k: Annotated[int, Field(ge=1, le=8)] = 4
