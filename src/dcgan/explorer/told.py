"""What the page is told: the answers that are no pictures."""

from __future__ import annotations

from pydantic import BaseModel


class RunInfo(BaseModel):
    """A run as the page shows it; sizes are 0 as long as it has no generator."""

    run: int
    name: str
    given: str
    """Its path as it was given, quoted for a shell."""
    directory: bool
    """Whether it is a run directory: with a training to look at, and room for edited generators."""
    ready: bool = True
    """Whether it has a generator yet."""
    trouble: str = ""
    """Why not, in words."""
    height: int = 0
    width: int = 0
    channels: int = 0
    latent_dim: int = 0
    latent: str = ""
    class_names: list[str] = []
    """Of a conditional generator; numbers if the classes have no names."""
    trained: dict[str, str] = {}
    """How it came to be, in words."""
    scales: list[int] = []
    """How much smaller than the image the maps are that can be forgotten."""
    maps: list[int] = []
    """How many there are at each scale."""
    most: int = 0
    """Images that one request may ask for."""


class Principal(BaseModel):
    """A principal direction of G's first activations."""

    number: int
    share: float
    """Of the activations' variance."""


class Forgetful(BaseModel):
    """What was dropped."""

    id: str
    maps: list[int]
    of: int
    """Maps of the layer."""
    images: int
    places: int
    accuracy: float
    """Share of the places, inside boxes and outside, that the maps tell apart."""


class Saved(BaseModel):
    """Where an edited generator is."""

    file: str
    """Below the run directory."""
    given: str
    """From where the server was started, quoted for a shell."""


class Event(BaseModel):
    """A line of health.jsonl."""

    step: int
    images: int
    symptom: str
    evidence: str
    advice: str
    action: str


class Value(BaseModel):
    """A line of evaluation.jsonl."""

    metric: str
    value: float
    low: float | None
    high: float | None
    floor: float | None
    samples: int
    extractor: str


class Log(BaseModel):
    """What a training has written since it was last looked at."""

    version: str
    """Of the file: another one means that lines were taken back, and that these are from its beginning."""
    offset: int
    """Where the next look begins, in bytes."""
    more: bool
    """Whether there is more already."""
    records: list[dict[str, float]]
    grids: list[int]
    """Images shown at each grid of samples."""
    health: list[Event]
    values: list[Value]
    age: float | None
    """Seconds since the training last wrote; None if it never did."""


class Neighbour(BaseModel):
    """A real image, and its distance with pixels in [0, 1]."""

    number: int
    distance: float
    label: str | None


class Neighbours(BaseModel):
    """The nearest training images of some samples."""

    found: bool
    """Whether the packed data is there."""
    reason: str
    """Why not, in words."""
    images: int
    """Training images that were compared with."""
    of: int
    """Training images there are."""
    usual: float
    """Median distance of training images to the nearest other one."""
    neighbours: list[list[Neighbour]]
    picture: str
    """PNG in base64: a row for each sample, the sample first; empty without data."""
