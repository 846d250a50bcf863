"""Logits → loss, as pure functions of tensors; probabilities never appear, so nothing saturates.

`real` and `fake` are D's logits (N,) for real and for drawn images. Every loss is minimised.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn.functional import relu, softplus


def discriminator_loss(
    name: str, real: torch.Tensor, fake: torch.Tensor, smoothing: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two halves of D's loss, for real and for drawn images; a paired loss has both in the first.

    name: "bce" (Goodfellow et al. 2014), "least-squares" (Mao et al. 2017), "hinge" (Lim and Ye 2017),
    "wasserstein" (Arjovsky et al. 2017) or "relativistic" (pairs; Jolicoeur-Martineau 2018).
    smoothing: real targets are 1 - smoothing (one-sided; Salimans et al. 2016).
    """
    if name == "bce":
        # target t: -t log σ(x) - (1 - t) log(1 - σ(x)) = softplus(-x) + (1 - t) x
        return (softplus(-real) + smoothing * real).mean(), softplus(fake).mean()
    if name == "least-squares":
        return (real - (1.0 - smoothing)).square().mean(), fake.square().mean()
    if name == "hinge":
        return relu(1.0 - real).mean(), relu(1.0 + fake).mean()
    if name == "wasserstein":
        return -real.mean(), fake.mean()
    if name == "relativistic":
        # Two equal halves, so that their mean is the usual loss.
        paired = softplus(fake - real).mean()
        return paired, paired
    raise ValueError(f"no loss {name!r}")


def generator_loss(name: str, fake: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
    """G's loss for the logits of its drawings; the relativistic one needs those of real images too."""
    if name == "bce":
        return softplus(-fake).mean()
    if name == "least-squares":
        return (fake - 1.0).square().mean()
    if name in ("hinge", "wasserstein"):
        return -fake.mean()
    if name == "relativistic":
        if real is None:
            raise ValueError("the relativistic loss compares with real logits; give them")
        return softplus(real - fake).mean()
    raise ValueError(f"no loss {name!r}")


def boundary(name: str, smoothing: float = 0.0) -> float:
    """The logit of an optimal D for an image that may as well be real as drawn: halfway between the targets."""
    if name == "least-squares":
        return (1.0 - smoothing) / 2
    if name == "bce":
        return math.log1p(-smoothing) - math.log1p(smoothing)  # σ of it is (1 - smoothing) / 2
    return 0.0


def share_right(name: str, real: torch.Tensor, fake: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """The share of D's decisions that are right, mean over real and drawn images; 0.5 is chance.

    A decision is on which side of the `boundary` a logit lies. The relativistic and the wasserstein loss know
    differences alone: there it is which of a pair is real. A tie is half right.
    """
    if name in ("relativistic", "wasserstein"):
        return 0.5 + 0.5 * (real - fake).sign().mean()
    middle = boundary(name, smoothing)
    return 0.5 + 0.5 * torch.cat([real - middle, middle - fake]).sign().mean()


def real_sign(name: str, real: torch.Tensor, fake: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Mean sign of D's decisions on real images, in [-1, 1]: 0 where D tells nothing, 1 where it is sure of each.

    The sign of overfitting of Karras et al. 2020 (their r_t). A decision is the side of the logit of an optimal D
    where both kinds are equally likely; the relativistic and the wasserstein loss know differences of pairs alone.
    """
    if name in ("relativistic", "wasserstein"):
        return (real - fake).sign().mean()
    return (real - boundary(name, smoothing)).sign().mean()


def r1_penalty(discriminator: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Half the mean squared gradient of D at real images (R1; Mescheder et al. 2018), before its weight r1.

    Their γ weighs it against the sum of D's halves: beside the mean of these it is 2 r1, beside the sum r1.
    At drawn ones it is R2, which a relativistic loss needs beside R1 to converge (Huang et al. 2024, R3GAN).
    """
    return 0.5 * _input_gradient(discriminator, images).square().sum(1).mean()


def gradient_penalty(
    discriminator: Callable[[torch.Tensor], torch.Tensor],
    real: torch.Tensor,
    fake: torch.Tensor,
    mix: torch.Tensor,
) -> torch.Tensor:
    """(‖∇D‖ - 1)² on lines between real and drawn images (Gulrajani et al. 2017), before its weight.

    Their λ weighs it against the sum of D's halves. mix: (N, 1, 1, 1), uniform on [0, 1].
    """
    between = real + mix * (fake - real)
    return (_input_gradient(discriminator, between).norm(2, dim=1) - 1.0).square().mean()


def _input_gradient(discriminator: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Gradient of the summed logits at the images, as float32 (N, C·H·W), differentiable once more."""
    images = images.detach().float().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(images).float().sum(), images, create_graph=True)
    return gradient.flatten(1)
