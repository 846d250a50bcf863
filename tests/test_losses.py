"""Each loss against its textbook form, far logits, and penalties with a known gradient."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from dcgan.losses import (
    boundary,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    r1_penalty,
    real_sign,
    share_right,
)

LOSSES = ["bce", "least-squares", "hinge", "wasserstein", "relativistic"]


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 50, generator=generator, dtype=torch.float64) * 3


def bce(logits, target):
    return binary_cross_entropy(logits.sigmoid(), torch.full_like(logits, target))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_bce_is_cross_entropy_of_probabilities(logits, smoothing):
    real, fake = logits
    on_real, on_fake = discriminator_loss("bce", real, fake, smoothing)
    close(on_real, bce(real, 1 - smoothing))
    close(on_fake, bce(fake, 0.0))
    close(generator_loss("bce", fake), bce(fake, 1.0))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_least_squares(logits, smoothing):
    real, fake = logits
    on_real, on_fake = discriminator_loss("least-squares", real, fake, smoothing)
    close(on_real, sum((x - 1 + smoothing) ** 2 for x in real) / 50)
    close(on_fake, sum(x**2 for x in fake) / 50)
    close(generator_loss("least-squares", fake), sum((x - 1) ** 2 for x in fake) / 50)


def test_hinge(logits):
    real, fake = logits
    on_real, on_fake = discriminator_loss("hinge", real, fake)
    close(on_real, sum(max(0, 1 - x) for x in real) / 50)
    close(on_fake, sum(max(0, 1 + x) for x in fake) / 50)
    close(generator_loss("hinge", fake), -sum(fake) / 50)


@pytest.mark.parametrize(
    ("name", "smoothing", "boundary"),
    [
        ("bce", 0.0, 0.0),
        ("bce", 0.2, math.log(0.4 / 0.6)),  # σ = 0.4, halfway between the targets 0 and 0.8
        ("least-squares", 0.0, 0.5),
        ("least-squares", 0.1, 0.45),
        ("hinge", 0.1, 0.0),
    ],
)
def test_sign_of_decisions_on_real_images(logits, name, smoothing, boundary):
    real, fake = logits
    expected = sum(1.0 if x > boundary else -1.0 for x in real.tolist()) / 50
    close(real_sign(name, real, fake, smoothing), torch.tensor(expected, dtype=torch.float64))
    edge = torch.tensor([boundary - 1e-4, boundary + 1e-4, boundary + 2e-4])
    close(real_sign(name, edge, edge, smoothing), torch.tensor(1 / 3))


@pytest.mark.parametrize("name", ["relativistic", "wasserstein"])
def test_sign_of_decisions_on_pairs(logits, name):
    real, fake = logits
    expected = sum(1.0 if x > y else -1.0 for x, y in zip(real.tolist(), fake.tolist(), strict=True)) / 50
    close(real_sign(name, real, fake), torch.tensor(expected, dtype=torch.float64))


def test_wasserstein(logits):
    real, fake = logits
    on_real, on_fake = discriminator_loss("wasserstein", real, fake)
    close(on_real + on_fake, sum(fake) / 50 - sum(real) / 50)
    close(generator_loss("wasserstein", fake), -sum(fake) / 50)


def test_relativistic_compares_pairs(logits):
    real, fake = logits
    on_real, on_fake = discriminator_loss("relativistic", real, fake)
    close((on_real + on_fake) / 2, -torch.log(torch.sigmoid(real - fake)).mean())
    close(generator_loss("relativistic", fake, real), -torch.log(torch.sigmoid(fake - real)).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_far_logits_stay_finite_and_keep_their_gradients(name):
    real = torch.tensor([200.0, -200.0], requires_grad=True)
    fake = torch.tensor([-200.0, 200.0], requires_grad=True)
    for loss in (torch.stack(discriminator_loss(name, real, fake)).sum(), generator_loss(name, fake, real)):
        assert torch.isfinite(loss)
        gradients = torch.autograd.grad(loss, [real, fake], allow_unused=True)
        assert all(torch.isfinite(g).all() for g in gradients if g is not None)
        assert any(g is not None and g.abs().max() >= 0.4 for g in gradients)  # the wrong logits still pull


def test_saturated_discriminator_still_teaches_the_generator():
    fake = torch.tensor([-200.0], requires_grad=True)
    generator_loss("bce", fake).backward()
    assert fake.grad == pytest.approx(-1.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("name", ["bce", "least-squares", "hinge"])
def test_boundary_is_the_logit_that_serves_both_kinds_best(name, smoothing):
    """The logit that costs least when half of the images that get it are real (any between ±1 with hinge)."""
    logits = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    costs = torch.stack([torch.stack(discriminator_loss(name, x[None], x[None], smoothing)).sum() for x in logits])
    best = logits[costs <= costs.min() + 1e-12]
    assert best.min() - 1e-3 <= boundary(name, smoothing) <= best.max() + 1e-3


@pytest.mark.parametrize("name", LOSSES)
def test_share_right_counts_decisions(name, logits):
    real, fake = logits
    real[0] = fake[0] = boundary(name, 0.1)  # a tie, on the boundary
    half = 0.5
    if name in ("relativistic", "wasserstein"):
        points = [1.0 if r > f else half if r == f else 0.0 for r, f in zip(real, fake, strict=True)]
    else:
        where = {"bce": math.log(0.45 / 0.55), "least-squares": 0.45, "hinge": 0.0}[name]
        points = [half, half, *(float(r > where) for r in real[1:]), *(float(f < where) for f in fake[1:])]
    assert share_right(name, real, fake, 0.1).item() == pytest.approx(sum(points) / len(points), abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_share_right_is_one_for_a_perfect_and_a_half_for_a_constant_discriminator(name):
    real, fake = torch.full((7,), 3.0), torch.full((7,), -3.0)
    assert share_right(name, real, fake) == 1
    assert share_right(name, fake, real) == 0
    assert share_right(name, real, real) == share_right(name, fake, fake) == 0.5


@pytest.mark.parametrize("function", [lambda x: discriminator_loss("x", x, x), lambda x: generator_loss("x", x)])
def test_unknown_loss(function):
    with pytest.raises(ValueError, match="no loss 'x'"):
        function(torch.zeros(2))


def test_relativistic_generator_needs_real_logits():
    with pytest.raises(ValueError, match="real logits"):
        generator_loss("relativistic", torch.zeros(2))


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(3, 4, 2, 3, 3, generator=generator)[:2] * 2 - 1


@pytest.fixture
def weight():
    return (torch.arange(18.0).reshape(2, 3, 3) / 10 - 0.3).requires_grad_(True)


def linear(weight):
    return lambda x: (x * weight).sum((1, 2, 3)) + 5


def half_square(x):
    return x.square().sum((1, 2, 3)) / 2  # its gradient is x


def test_r1_of_a_linear_network_and_its_derivative(images, weight):
    penalty = r1_penalty(linear(weight), images[0])
    torch.testing.assert_close(penalty, 0.5 * weight.square().sum())
    (second,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(second, weight.detach())


def test_r1_is_taken_at_the_real_images_and_averaged(images):
    expected = 0.5 * torch.stack([image.square().sum() for image in images[0]]).mean()
    torch.testing.assert_close(r1_penalty(half_square, images[0]).detach(), expected)


def test_gradient_penalty_of_a_linear_network_and_its_derivative(images, weight):
    penalty = gradient_penalty(linear(weight), images[0], images[1], torch.rand(4, 1, 1, 1))
    norm = weight.detach().norm()
    torch.testing.assert_close(penalty.detach(), (norm - 1) ** 2)
    (second,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(second, 2 * (norm - 1) * weight.detach() / norm)


def test_gradient_penalty_is_taken_between_the_images(images):
    real, fake = images
    mix = torch.tensor([0.0, 0.25, 0.5, 1.0])
    points = [(1 - m) * r + m * f for m, r, f in zip(mix, real, fake, strict=True)]
    expected = torch.stack([(p.norm() - 1) ** 2 for p in points]).mean()
    torch.testing.assert_close(gradient_penalty(half_square, real, fake, mix.reshape(4, 1, 1, 1)).detach(), expected)


def test_penalties_leave_no_gradient_on_the_images(images):
    real = images[0].clone().requires_grad_(True)
    r1_penalty(half_square, real).backward()
    assert real.grad is None
