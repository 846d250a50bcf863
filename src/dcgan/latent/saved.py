"""What the latent commands leave on disk for others: the z found for pictures (JSON), and directions (safetensors)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from dcgan.errors import InputError, printable
from dcgan.evaluation.weights import digest
from dcgan.files import read_tensors, write_tensors, writing
from dcgan.pretrained import Generator
from dcgan.reading import is_integer, is_number, parse_json, read_json
from dcgan.values import brief

PROJECTION, DIRECTION = "dcgan-projection-1", "dcgan-direction-1"
LARGEST_DIRECTION = 2**20
"""Bytes."""


@dataclass(frozen=True, eq=False)
class Latents:
    """z (N, latent_dim), and labels (N,) of a conditional generator, from a file."""

    z: torch.Tensor
    labels: torch.Tensor | None
    generator: str
    """Digest of the generator they belong to."""


@dataclass(frozen=True, eq=False)
class Direction:
    """A vector from the mean of one group of latents to that of another."""

    vector: torch.Tensor
    """float32 (latent_dim,): `end` less `start`."""
    start: str
    end: str
    """What the groups are, in words."""
    generator: str
    """Digest of the generator it belongs to."""


def generator_digest(generator: Generator) -> str:
    """SHA-256 (hex) of its weights: a z means something for these alone."""
    return digest(generator.network.state_dict(), "generator")


def read_projection(path: Path, generator: Generator) -> Latents:
    """The best z of each picture of a file that `dcgan latent project --json` wrote.

    Raises InputError if it is not such a file, or does not fit the generator.
    """
    config = generator.info.network
    content = read_json(path)
    try:
        if content["format"] != PROJECTION:
            raise ValueError(f"format {brief(content['format'])}")
        rows = [list(image["z"]) for image in content["images"]]
        labels = [image["label"] for image in content["images"]]
        written_for = str(content["generator"])
    except (ValueError, KeyError, TypeError) as error:
        said = printable(repr(error))[:200]
        raise InputError(f"{printable(path)}: not a file of dcgan latent project --json ({said})") from error
    if not rows or any(len(row) != config.latent_dim or not all(map(is_number, row)) for row in rows):
        raise InputError(f"{printable(path)}: wants a z of {config.latent_dim} finite numbers for each picture")
    if not config.classes:
        return Latents(torch.tensor(rows, dtype=torch.float32), None, written_for)
    if not all(is_integer(label, 0, config.classes - 1) for label in labels):
        raise InputError(f"{printable(path)}: wants a class from 0 to {config.classes - 1} for each picture")
    return Latents(torch.tensor(rows, dtype=torch.float32), torch.tensor(labels), written_for)


def write_direction(path: Path, direction: Direction) -> None:
    """A safetensors file with the tensor `direction`, and what it is in the metadata."""
    facts = {"format": DIRECTION, "start": direction.start, "end": direction.end, "generator": direction.generator}
    with writing(path):
        write_tensors(path, {"direction": direction.vector}, {"dcgan": json.dumps(facts)})


def read_direction(path: Path, generator: Generator) -> Direction:
    """What `write_direction` wrote; InputError if it is something else, or for other latents than the generator's."""
    if not path.is_file():
        raise InputError(f"{printable(path)}: there is no such file")
    tensors, metadata = read_tensors(path, LARGEST_DIRECTION)
    try:
        facts = parse_json(metadata["dcgan"])
        if facts["format"] != DIRECTION:
            raise ValueError(f"format {brief(facts['format'])}")
        found = Direction(tensors["direction"].float(), str(facts["start"]), str(facts["end"]), str(facts["generator"]))
    except (ValueError, KeyError, TypeError) as error:
        said = printable(repr(error))[:200]
        raise InputError(f"{printable(path)}: not a direction of dcgan latent turn ({said})") from error
    if found.vector.shape != (generator.info.network.latent_dim,) or not found.vector.isfinite().all():
        dim = generator.info.network.latent_dim
        raise InputError(f"{printable(path)}: wants {dim} finite numbers, as this generator's z has")
    return found
