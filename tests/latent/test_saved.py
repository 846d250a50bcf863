"""Latents and directions on disk: they come back exactly, and everything else is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dcgan.errors import InputError
from dcgan.files import write_json
from dcgan.latent.concepts import from_file
from dcgan.latent.project import Projection
from dcgan.latent.saved import (
    PROJECTION,
    Direction,
    generator_digest,
    read_direction,
    read_projection,
    write_direction,
)
from dcgan.pretrained import Generator
from dcgan.progress import Display


def projection(seed: int, labels: list[int] | None = None) -> Projection:
    z = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed))
    image = np.zeros((16, 16, 1), np.uint8)
    found = None if labels is None else torch.tensor(labels)
    return Projection(image, z, found, np.stack([image, image]), np.array([0.1, 0.2]), 0.3)


def write(path: Path, generator: Generator, *found: Projection, **changes: Any) -> Path:
    content = {
        "format": PROJECTION,
        "generator": generator_digest(generator),
        "images": [one.record("x.png") for one in found],
    }
    write_json(path, content | changes)
    return path


def test_latents_of_pictures_come_back_exactly(tmp_path: Path, generator: Generator, classes: Generator) -> None:
    found = [projection(1), projection(2)]
    back = read_projection(write(tmp_path / "a.json", generator, *found), generator)
    assert torch.equal(back.z, torch.stack([one.z[0] for one in found]))
    assert back.labels is None
    with_classes = [projection(1, [2, 0]), projection(2, [1, 1])]
    labels = read_projection(write(tmp_path / "b.json", classes, *with_classes), classes).labels
    assert labels is not None
    assert labels.tolist() == [2, 1]


def test_a_concept_from_a_file(tmp_path: Path, generator: Generator, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.json", generator, projection(1), projection(2))
    concept = from_file(generator, path, Display())
    assert concept.name == "a.json"
    assert torch.equal(concept.mean, (projection(1).z[0] + projection(2).z[0]) / 2)
    assert capsys.readouterr().out == ""
    with torch.no_grad():
        next(generator.parameters()).mul_(2)
    from_file(generator, path, Display())
    assert "found for other weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "other"}, "not a file of dcgan latent project"),
        ({"images": []}, "a z of 5 finite numbers"),
        ({"images": [{"z": [0.0] * 4, "label": None}]}, "a z of 5 finite numbers"),
        ({"images": [{"z": [0.0] * 4 + [1e999], "label": None}]}, "Infinity is no number"),
        ({"images": [{"z": "text", "label": None}]}, "a z of 5 finite numbers"),
        ({"images": 3}, "not a file of"),
        ({"images": [{}]}, "not a file of"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, generator: Generator, changes: dict[str, Any], said: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"format": PROJECTION, "generator": "x", "images": []} | changes))
    with pytest.raises(InputError, match=said):
        read_projection(tmp_path / "a.json", generator)


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_files_that_are_something_else(tmp_path: Path, generator: Generator, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a.json: (not a file of dcgan latent project|not valid JSON|is not text)"):
        read_projection(tmp_path / "a.json", generator)


@pytest.mark.parametrize("label", [None, 3, -1, "1"])
def test_a_class_that_is_not_there(tmp_path: Path, classes: Generator, label: object) -> None:
    images = [{"z": [0.0] * 5, "label": label}]
    with pytest.raises(InputError, match="a class from 0 to 2"):
        read_projection(write(tmp_path / "a.json", classes, images=images), classes)


def test_a_direction_comes_back_exactly(tmp_path: Path, generator: Generator) -> None:
    one = Direction(torch.randn(5), "samples 1, 2", "bright", generator_digest(generator))
    write_direction(tmp_path / "d.safetensors", one)
    back = read_direction(tmp_path / "d.safetensors", generator)
    assert torch.equal(back.vector, one.vector)
    assert (back.start, back.end, back.generator) == (one.start, one.end, one.generator)
    assert (tmp_path / "d.safetensors").stat().st_size < 1000


def test_other_directions_are_refused(tmp_path: Path, generator: Generator) -> None:
    path = tmp_path / "d.safetensors"
    with pytest.raises(InputError, match="no such file"):
        read_direction(path, generator)
    save_file({"direction": torch.zeros(5)}, path)
    with pytest.raises(InputError, match="not a direction"):
        read_direction(path, generator)
    for vector in (torch.zeros(4), torch.zeros(5, 1), torch.full((5,), torch.nan)):
        write_direction(path, Direction(vector, "a", "b", "x"))
        with pytest.raises(InputError, match="wants 5 finite numbers"):
            read_direction(path, generator)
    path.write_bytes(b"PK\x03\x04" + bytes(20))
    with pytest.raises(InputError, match="pickle"):
        read_direction(path, generator)
