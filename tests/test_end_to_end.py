"""Whole trainings on real images, as people run them, short enough for a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import dcgan
from dcgan.cli import main
from dcgan.data.sources import find_source

POST = (
    "--preset blog --batch_size 64 --lr 0.0002 --b1 0.5 --b2 0.999 --n_cpu 8 --latent_dim 100 --img_size 32 "
    "--channels 1 --sample_interval 400 --n_epochs"
).split()


def nearest(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to, and index of, the nearest reference of each query; both uint8 (N, …)."""
    x, y = (a.reshape(len(a), -1).astype(np.float64) for a in (queries, references))
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.sqrt(squares.min(1)), squares.argmin(1)


@pytest.fixture
def _all_threads() -> Iterator[None]:
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(1)


@pytest.mark.slow
def test_the_default_learns_the_bundled_digits(tmp_path: Path) -> None:
    """Drawn digits lie about as near to real ones as other real ones do, and all ten are drawn."""
    digits = find_source("digits")
    images, labels = digits.images, digits.labels  # type: ignore[attr-defined]
    held_out, references = images[:500], images[500:]
    run = dcgan.train("digits", images=64 * 300, out=tmp_path / "run", quiet=True)
    drawn = dcgan.Generator.from_pretrained(run.path).sample(500, seed=1)[..., 0]
    assert drawn.shape == (500, 28, 28)

    real, _ = nearest(held_out, references)
    ours, index = nearest(drawn, references)
    noise, _ = nearest(np.random.default_rng(0).permuted(held_out.reshape(500, -1), axis=1), references)
    assert np.median(ours) < 1.4 * np.median(real)
    assert np.median(noise) > 1.9 * np.median(real)  # the same pixels, in another order
    shares = np.bincount(labels[500:][index], minlength=10) / 500
    assert shares.min() > 0.02
    assert len(np.unique(index)) > 250  # not a few modes again and again


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.usefixtures("_all_threads")
def test_the_posts_command_on_mnist(data_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(["train", str(data_root / "mnist"), *POST, "0.02", "--out", str(out)]) == 0
    run = dcgan.Run.open(out)
    assert run.data["shape"] == [32, 32, 1]
    assert (out / "images" / "19.png").exists()


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("data", "options", "shape"),
    [
        ("smiles64/smiles64.zip", [], (64, 64, 1)),
        ("smiles64/smiles64.zip", ["--image-size", "48x64", "--conditional"], (48, 64, 1)),
        ("cifar10-jpeg/test.zip", [], (32, 32, 3)),
    ],
)
def test_photographs_need_no_other_option(
    data_root: Path, tmp_path: Path, data: str, options: list[str], shape: tuple[int, ...]
) -> None:
    out = tmp_path / "run"
    assert main(["train", str(data_root / data), *options, "--minutes", "0.1", "--out", str(out)]) == 0
    assert main(["sample", str(out), "-n", "4", "--out", str(tmp_path / "drawn.npz")]) == 0
    with np.load(tmp_path / "drawn.npz") as file:
        assert file["arr_0"].shape == (4, *shape)
