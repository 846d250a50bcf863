from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan.errors import InputError
from dcgan.features.store import Labelled, write_features

FEATURES = torch.arange(70, dtype=torch.float32).reshape(10, 7) / 3
LABELS = np.arange(10) % 3


def beside(dtype: str = "float32", labels: np.ndarray | None = LABELS) -> Labelled:
    return Labelled((10, 7), dtype, labels, ("a", "ü", "c"), {"run": "x", "maps": (1, 2)})


@pytest.mark.parametrize(("dtype", "expected"), [("float32", FEATURES), ("float16", FEATURES.half())])
def test_every_format_gives_back_what_was_written(tmp_path: Path, dtype: str, expected: torch.Tensor) -> None:
    from safetensors import safe_open

    for name in ("f.npz", "f.safetensors", "folder"):
        write_features(tmp_path / "deep" / name, FEATURES.split(3), beside(dtype))
    folder = tmp_path / "deep"
    with np.load(folder / "f.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["features"], expected.numpy())
        assert np.array_equal(arrays["labels"], LABELS)
        assert arrays["class_names"].tolist() == ["a", "ü", "c"]
        assert json.loads(str(arrays["facts"]))["run"] == "x"
    with safe_open(folder / "f.safetensors", framework="pt") as file:
        assert torch.equal(file.get_tensor("features"), expected)
        assert np.array_equal(file.get_tensor("labels").numpy(), LABELS)
        assert json.loads(file.metadata()["class_names"]) == ["a", "ü", "c"]
    mapped = np.load(folder / "folder" / "features.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, expected.numpy())
    assert np.array_equal(np.load(folder / "folder" / "labels.npy"), LABELS)
    assert json.loads((folder / "folder" / "features.json").read_text())["maps"] == [1, 2]
    assert sorted(path.name for path in folder.iterdir()) == ["f.npz", "f.safetensors", "folder"]


@pytest.mark.parametrize("name", ["f.npz", "f.safetensors", "folder"])
def test_bfloat16_pieces_and_no_labels(tmp_path: Path, name: str) -> None:
    write_features(tmp_path / name, FEATURES.bfloat16().split(4), beside(labels=None))
    file = tmp_path / name / "features.npy" if name == "folder" else tmp_path / name
    if name == "f.safetensors":
        from safetensors.torch import load_file

        found = load_file(file)
        assert list(found) == ["features"]
        assert torch.equal(found["features"], FEATURES.bfloat16().float())
        return
    loaded = np.load(file)
    features = loaded["features"] if name == "f.npz" else loaded
    assert np.array_equal(features, FEATURES.bfloat16().float().numpy())
    assert "labels" not in (loaded if name == "f.npz" else {path.stem for path in (tmp_path / name).iterdir()})


@pytest.mark.parametrize("name", ["f.npz", "f.safetensors", "folder"])
def test_what_fails_leaves_nothing(tmp_path: Path, name: str) -> None:
    def pieces() -> Iterator[torch.Tensor]:
        yield FEATURES[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path / name, pieces(), beside())
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "f.npz").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_features(tmp_path / "f.npz", [FEATURES], beside())
    assert (tmp_path / "f.npz").read_text() == "mine"
    with pytest.raises(InputError, match="cannot be written"):
        write_features(tmp_path / "f.npz" / "below.npz", [FEATURES], beside())
