"""Lengths of latents against those of many."""

from __future__ import annotations

import pytest
import torch

from dcgan.latent.likely import keep_likely, typical, usual_length
from dcgan.latents import latents


@pytest.mark.parametrize("dim", [1, 2, 8, 100, 500])
def test_95_of_100_normal_latents_are_left_alone(dim: int) -> None:
    z = latents(20_000, dim, 0)
    moved = keep_likely(z, "normal")
    alike = (moved - z).abs().max(1).values < 1e-5
    assert 0.94 < alike.float().mean() < 0.97
    assert torch.nn.functional.cosine_similarity(moved, z).min() > 0.9999
    assert torch.equal(keep_likely(torch.zeros(1, dim), "normal"), torch.zeros(1, dim))


@pytest.mark.parametrize("dim", [2, 8, 100])
def test_means_come_to_the_usual_length(dim: int) -> None:
    z = latents(12_000, dim, 0)
    assert z.norm(dim=1).median() == pytest.approx(usual_length(dim), rel=0.05)
    means = z.unflatten(0, (-1, 12)).mean(1)
    assert means.norm(dim=1).mean() < 0.4 * usual_length(dim)
    drawn = typical(means, "normal")
    assert torch.allclose(drawn.norm(dim=1), torch.tensor(usual_length(dim)))
    assert torch.nn.functional.cosine_similarity(means, drawn).min() > 0.9999
    assert typical(torch.zeros(1, dim), "normal").isfinite().all()


def test_uniform_ones_are_kept_in_the_box() -> None:
    z = torch.tensor([[1.5, -0.5, -2.0]])
    assert keep_likely(z, "uniform").tolist() == [[1.0, -0.5, -1.0]]
    assert typical(z, "uniform") is z
