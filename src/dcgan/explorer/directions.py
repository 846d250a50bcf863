"""The principal directions of G's first activations, as directions of z (GANSpace, Härkönen et al. 2020), exactly.

GANSpace draws many z, finds the principal components of an early layer's activations, and regresses z on them. In these
networks the first layer and its norm are linear in z, so nothing has to be drawn: with activations A z + b of latents
whose numbers are independent and alike, and A = U S Vᵀ, the components are the columns of U, their variances the
squares of S, and what the regression finds for each is its row of Vᵀ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from dcgan.errors import InputError
from dcgan.networks.blocks import Projection
from dcgan.networks.generators import BlogGenerator, MnistGenerator
from dcgan.pretrained import Generator


@dataclass(frozen=True, eq=False)
class Directions:
    """Of a generator, the one that changes most first."""

    vectors: torch.Tensor
    """float32 (k, latent_dim): each as long as a standard deviation of z along it; the largest entry is positive."""
    shares: tuple[float, ...]
    """Of the activations' variance."""


@torch.no_grad()
def principal_directions(generator: Generator, k: int = 10) -> Directions:
    """The first k, or as many as z has numbers. Norms that use the batch's statistics do so as in `Generator.alone`.

    Raises InputError for weights that make no numbers, such as a norm's variance below 0.
    """
    config = generator.info.network
    linear, norm = first_layer(generator.alone())
    matrix = linear.weight[:, : config.latent_dim].detach().cpu().double()  # class codes come after z
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        assert norm.running_var is not None
        scale = (norm.running_var.cpu().double() + norm.eps).rsqrt()
        if norm.weight is not None:
            scale = scale * norm.weight.cpu().double()
        matrix = matrix * scale.repeat_interleave(len(matrix) // len(scale))[:, None]
    if not matrix.isfinite().all():
        raise InputError("no directions: the generator's first norm makes NaN or infinities; its weights are damaged")
    _, values, rows = torch.linalg.svd(matrix, full_matrices=False)
    rows = rows[:k]
    signs = rows.gather(1, rows.abs().argmax(1, keepdim=True)).sign()
    deviation = 1.0 if config.latent == "normal" else math.sqrt(1 / 3)
    shares = values.square() / values.square().sum().clamp_min(1e-300)
    return Directions((rows * signs * deviation).float(), tuple(shares[: len(rows)].tolist()))


def first_layer(network: nn.Module) -> tuple[nn.Linear, nn.Module]:
    """What z meets first, and the norm after it."""
    if isinstance(network, BlogGenerator):
        return network.project, network.blocks[0]
    if isinstance(network, MnistGenerator):
        return network.hidden, network.hidden_norm
    projection = network.project
    assert isinstance(projection, Projection)
    return projection.linear, projection.norm
