"""A look at both networks from time to time: what they make of always the same latents and real images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from dcgan.config import Config
from dcgan.data.pack import Pack
from dcgan.images import to_float
from dcgan.latents import BLOCK, latents
from dcgan.pretrained import class_labels
from dcgan.training.step import TrainingStep

SIDE = 16
"""Images are compared at no more than this many pixels a side: what is in them, without the finest texture."""
PLACES = 4
"""A filter's map is followed as its means over this many places a side."""
CONSTANT = 1e-3
"""A map is dead if its range is at most this share of the mean range in its layer."""

MOST_CLASSES = BLOCK // 4
"""Classes that are looked at: an image is compared with others of its class, so that there must be some."""
MOVES = 20.0
"""Updates of G at the full learning rate, or as many more at lower ones, after which its weights should have moved."""


class Looks:
    """Looks at a training, each compared with the one before; `tensors` and `restore` keep what that takes.

    The latents are the first 64 of the sample grids', drawn by the network that draws those; of the first 16 classes.
    """

    def __init__(self, config: Config, step: TrainingStep, pack: Pack) -> None:
        net, seed = config.network, config.training.seed
        labels = class_labels(min(net.classes, MOST_CLASSES), BLOCK)
        rows = _some_rows(pack, labels, seed)
        real = to_float(torch.from_numpy(pack.images[rows]).permute(0, 3, 1, 2))
        real_labels = None if labels is None or pack.labels is None else torch.from_numpy(pack.labels[rows])
        both = None if labels is None or real_labels is None else torch.cat([real_labels, labels])
        self.step, self._real_distance = step, mean_nearest(real, real_labels)
        self.z = latents(BLOCK, net.latent_dim, seed, distribution=net.latent).to(step.device)
        self.real = real.to(step.device, memory_format=torch.channels_last)
        self.labels, self.both_labels = (None if x is None else x.to(step.device) for x in (labels, both))
        self._norms, self._pushed, self._means = no_look(step).values()

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        """What is seen now, by the names it has in the log; the networks stay as they are.

        diversity: the mean distance of a drawn image to the one most like it (of its class), divided by the
        same for as many real images; left out if those are all alike. dead_g, dead_d: share of maps that are
        one value at all places of all images. oscillation: share of G's maps that moved since the look before,
        in the mean over the latents, by more than they differ between latents; none at the first look.
        moved_g: the largest change of the norm of one of G's weight tensors, against that of all, since it was
        given last; left out until there have been `MOVES`, as turns and a rate that has fallen may keep G where it is.
        """
        generator, discriminator = self.step.average.network, self.step.discriminator
        with _evaluating(generator), _evaluating(discriminator):
            with Activations() as of_g:
                drawn = generator(self.z, self.labels)
            with Activations() as of_d:
                discriminator(torch.cat([self.real, drawn]), self.both_labels)
        result = {"dead_g": share_dead(of_g.layers), "dead_d": share_dead(of_d.layers)}
        if self._real_distance:
            result["diversity"] = mean_nearest(drawn, self.labels) / self._real_distance
        if len(self._means):
            result["oscillation"] = share_moving(of_g.layers, self._means)
        if self.step.pushed - self._pushed.item() >= MOVES:
            before, (self._norms, self._pushed, _) = self._norms, no_look(self.step).values()
            result["moved_g"] = ((self._norms - before).abs().max() / self._norms.norm()).item()
        self._means = torch.cat([layer.means.flatten() for layer in of_g.layers])
        return result

    def tensors(self) -> dict[str, torch.Tensor]:
        """What the next look is compared with, for `restore`."""
        return {"looks.norms": self._norms, "looks.pushed": self._pushed, "looks.means": self._means}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Compare the next look with what `tensors` gave."""
        norms, means = tensors["looks.norms"], tensors["looks.means"]
        if norms.shape != self._norms.shape or means.ndim != 1:
            raise ValueError("the last look was at another network")
        self._norms, self._means = norms.to(self.step.device), means.to(self.step.device)
        self._pushed = tensors.get("looks.pushed", torch.zeros((), dtype=torch.float64))


class Layer(NamedTuple):
    """What a look keeps of the C maps of a layer."""

    ranges: torch.Tensor
    """(C,): largest less smallest value, over all images and places."""
    means: torch.Tensor
    """(C, P): mean over the images, at each of P places."""
    spreads: torch.Tensor
    """(C,): variance over the images, mean over the places."""

    @classmethod
    def of(cls, maps: torch.Tensor) -> Layer:
        """Of maps (N, C, H, W), or units (N, C)."""
        flat = maps.transpose(0, 1).flatten(1)
        if maps.ndim == 4:
            maps = functional.adaptive_avg_pool2d(maps, PLACES)
        places = maps.flatten(2) if maps.ndim == 4 else maps[:, :, None]
        return cls(flat.amax(1) - flat.amin(1), places.mean(0), places.var(0).mean(1))


class Activations(TorchFunctionMode):
    """Inside, `layers` gathers what every ReLU and leaky ReLU gives, in the order they are called."""

    KINDS = (torch.relu, torch.Tensor.relu, functional.relu, functional.leaky_relu)

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[Layer] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in self.KINDS:
            self.layers.append(Layer.of(result))
        return result


def mean_nearest(images: torch.Tensor, labels: torch.Tensor | None = None) -> float:
    """Mean Euclidean distance of an image (of N, C, H, W) to the one most like it, of its label if there are any.

    Images without another of their label do not count; 0 if none has one. Unlike the mean over all pairs it
    sees not only a collapse to one image but one to a few as well.
    """
    height, width = images.shape[2:]
    x = functional.adaptive_avg_pool2d(images.float(), (min(height, SIDE), min(width, SIDE))).flatten(1)
    excluded = torch.eye(len(x), dtype=torch.bool, device=x.device)
    if labels is not None:
        excluded |= labels[:, None] != labels
    distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")  # exactly 0 for equal images
    nearest = distances.masked_fill(excluded, torch.inf).amin(1)
    nearest = nearest[~excluded.all(1)]
    return nearest.mean().item() if len(nearest) else 0.0


def share_dead(layers: list[Layer]) -> float:
    """The share of maps that are constant; with a ReLU that is 0 everywhere."""
    return torch.cat([layer.ranges <= CONSTANT * layer.ranges.mean() for layer in layers]).float().mean().item()


def share_moving(layers: list[Layer], before: torch.Tensor) -> float:
    """The share of maps whose means moved from `before` (all layers' in a row) further than the images differ."""
    moving = [
        (layer.means - old.view_as(layer.means)).square().mean(1) > layer.spreads
        for layer, old in zip(layers, before.split([layer.means.numel() for layer in layers]), strict=True)
    ]
    return torch.cat(moving).float().mean().item()


def no_look(step: TrainingStep) -> dict[str, torch.Tensor]:
    """What `Looks.tensors` gives when G is as in this step, and nobody has looked at its maps."""
    norms = torch._foreach_norm([p.detach() for p in step.generator.parameters()])
    pushed = torch.tensor(step.pushed, dtype=torch.float64)
    return {
        "looks.norms": torch.stack(norms),
        "looks.pushed": pushed,
        "looks.means": torch.empty(0, device=step.device),
    }


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Inside, the network is in evaluation mode."""
    before = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(before)


def _some_rows(pack: Pack, labels: torch.Tensor | None, seed: int) -> np.ndarray:
    """Rows of as many images as there are latents, of the same classes; fewer if there are not so many."""
    order = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 2, 0])).permutation(len(pack.images))
    if labels is None:
        return order[:BLOCK]
    counts = torch.bincount(labels).tolist()
    assert pack.labels is not None  # there are classes
    classes = pack.labels[order]
    return np.concatenate([order[classes == k][:n] for k, n in enumerate(counts)])
