"""Latents by number, and truncation."""

import math

import pytest
import torch

import dcgan.latents
from dcgan.errors import InputError
from dcgan.latents import BLOCK, latents, truncate


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_an_image_keeps_its_latent_however_many_are_drawn(distribution):
    everything = latents(3 * BLOCK, 5, seed=7, distribution=distribution)
    assert everything.shape == (3 * BLOCK, 5)
    assert everything.dtype == torch.float32
    for start, n in [(0, 1), (0, BLOCK), (1, BLOCK), (63, 2), (64, 64), (100, 1), (10, 150)]:
        part = latents(n, 5, seed=7, start=start, distribution=distribution)
        assert torch.equal(part, everything[start : start + n]), (start, n)


def test_none_at_all():
    assert latents(0, 5, seed=0).shape == (0, 5)
    assert latents(0, 5, seed=0, start=70).shape == (0, 5)


def test_any_block_is_as_near_as_the_first(monkeypatch):
    drawn = []

    def block(seed, number, dim, distribution, real=dcgan.latents._block):
        drawn.append(number)
        assert len(drawn) == 1
        return real(seed, number, dim, distribution)

    monkeypatch.setattr(dcgan.latents, "_block", block)
    assert latents(2, 3, seed=0, start=BLOCK * 10**15).isfinite().all()
    assert drawn == [10**15]


def test_seeds_and_blocks_differ():
    a, b = latents(2 * BLOCK, 8, seed=0), latents(2 * BLOCK, 8, seed=1)
    assert not torch.isclose(a, b).any(1).all()
    assert len(torch.cat([a, b]).unique(dim=0)) == 4 * BLOCK


def test_largest_seed():
    assert latents(1, 4, seed=2**63 - 1).isfinite().all()


def test_normals_have_mean_0_variance_1_and_no_correlation():
    z = latents(20_000, 10, seed=3).double()
    assert z.mean(0).abs().max() < 5 / math.sqrt(20_000)
    assert (z.var(0) - 1).abs().max() < 5 * math.sqrt(2 / 20_000)
    assert (torch.corrcoef(z.T) - torch.eye(10)).abs().max() < 5 / math.sqrt(20_000)
    assert (z.abs() < 1).double().mean().item() == pytest.approx(0.6827, abs=0.005)


def test_uniforms_fill_minus_1_to_1():
    z = latents(20_000, 10, seed=3, distribution="uniform")
    assert z.abs().max() <= 1
    histogram = torch.histc(z, bins=10, min=-1, max=1) / z.numel()
    assert (histogram - 0.1).abs().max() < 0.005


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("truncation", [1e-6, 0.5, 1.0, 2.5, 9.9])
def test_truncated_values_stay_within_and_keep_their_order(distribution, truncation):
    z = latents(BLOCK * 4, 10, seed=1, distribution=distribution).flatten().sort().values
    z = torch.cat([torch.tensor([-40.0, -9.0]), z, torch.tensor([9.0, 40.0])]) if distribution == "normal" else z
    squeezed = truncate(z, truncation, distribution)
    assert squeezed.abs().max() <= truncation
    assert (squeezed.diff() >= 0).all()
    assert squeezed.dtype == torch.float32
    assert torch.equal(squeezed, truncate(z, truncation, distribution))


def test_truncated_normal_has_the_truncated_distribution():
    z = latents(20_000, 1, seed=2, truncation=1.0).double().flatten()
    density = math.exp(-0.5) / math.sqrt(2 * math.pi)
    inside = math.erf(1 / math.sqrt(2))
    assert z.var().item() == pytest.approx(1 - 2 * density / inside, abs=0.01)
    assert (z.abs() < 0.5).double().mean().item() == pytest.approx(math.erf(0.5 / math.sqrt(2)) / inside, abs=0.015)


def test_truncated_uniform_is_scaled():
    z = latents(9, 4, seed=2, distribution="uniform")
    assert torch.equal(latents(9, 4, seed=2, distribution="uniform", truncation=0.5), z * 0.5)
    assert torch.equal(truncate(z, 3.0, "uniform"), z)


@pytest.mark.parametrize("truncation", [None, 10, 1e9])
def test_wide_truncation_changes_nothing(truncation):
    assert torch.equal(latents(9, 4, seed=2, truncation=truncation), latents(9, 4, seed=2))


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("truncation", [0.0, -1.0, math.nan, math.inf])
def test_senseless_truncation_is_refused(truncation, distribution):
    with pytest.raises(InputError, match="truncation"):
        latents(1, 4, seed=0, truncation=truncation, distribution=distribution)


@pytest.mark.parametrize("wrong", [{"n": -1}, {"start": -5}, {"start": 2**70}, {"seed": -1}, {"seed": 2**64}])
def test_numbers_that_no_image_has(wrong):
    with pytest.raises(InputError, match=r"seed: |samples from number"):
        latents(**{"n": 1, "dim": 4, "seed": 0} | wrong)
