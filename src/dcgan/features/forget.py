"""Forgetting: G redraws its samples without the maps that stand for something in them [paper, section 6.3, Figure 6].

Where the thing is, is said by masks of some samples. Logistic regression on the maps of one of G's layers, with places
inside the masks against as many random places of the same images outside them, gives each map a weight; the maps with
a positive one are dropped everywhere.

Maps are dropped by zeroing the weights with which the next convolution takes them: for every family, and whatever its
norms, exactly as if the maps themselves were zero, and the result is an ordinary generator.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dcgan.errors import InputError, printable
from dcgan.features.logistic import logistic
from dcgan.files import require_new, write_atomically
from dcgan.images import to_array
from dcgan.latents import BLOCK, latents
from dcgan.networks.convolutions import UpsampleConv
from dcgan.pretrained import Generator, class_index, class_labels
from dcgan.run import Run

L2 = 0.1
"""Weight of the squared weights beside the mean loss, where each map's activations have a standard deviation of 1.

Of 1e-4, 1e-2 and 0.1 the last took as many smiles from faces with the least change elsewhere, in each of three regions
(12 of 64 maps, 600 samples).
"""

Masks = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(numbers (N,), uint8 images (N, H, W, C)) → bool (N, H, W)."""


@dataclass(frozen=True)
class Samples:
    """Which samples of a generator: as of `dcgan sample`."""

    numbers: tuple[int, ...]
    seed: int = 0
    label: int | str | None = None
    truncation: float | None = None


@dataclass(frozen=True, eq=False)
class Forgetting:
    """Which maps are dropped, and what that was decided from."""

    scale: int
    """The maps are smaller than the image by this."""
    maps: tuple[int, ...]
    """Dropped, the largest weight first."""
    weights: np.ndarray
    """float64 (C,): of each map's activations divided by their standard deviation; 0 for maps that never change."""
    images: int
    """Samples with something inside their masks."""
    places: int
    """Inside, and as many outside (fewer where masks leave fewer)."""
    accuracy: float
    """Share of these places that the regression tells apart."""


def doubling(network: nn.Module, scale: int) -> nn.Conv2d | nn.ConvTranspose2d:
    """The convolution that doubles maps smaller than the image by `scale`; InputError if there is none.

    Where two layers have maps of that size it takes the later one's. For the paper's networks scale 2 is the layer
    before the image.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d | UpsampleConv)]
    scales = [2**i for i in range(1, len(layers) + 1)]
    if scale not in scales:
        raise InputError(f"scale: this generator has no maps {scale} times smaller than the image ({scales})")
    return layers[-1 - scales.index(scale)]


def map_count(generator: Generator, scale: int) -> int:
    """How many maps the layer has, class codes beside them not counted."""
    layer, config = doubling(generator.network, scale), generator.info.network
    beside = config.classes if config.family == "mnist" or config.condition == "concat" else 0
    return layer.in_channels - beside


@torch.inference_mode()
def drawn(generator: Generator, samples: Samples, scale: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(numbers (n,), uint8 images (n, H, W, C), maps float32 (n, h, w, C)) of the samples, in pieces.

    Each is drawn with its own block of 64, as `sample` does.
    """
    config, device = generator.info.network, next(generator.parameters()).device
    label, network = class_index(generator.info, samples.label), generator.network.eval()
    count, seen = map_count(generator, scale), list[torch.Tensor]()
    hook = doubling(network, scale).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, :count]))
    wanted = np.unique(samples.numbers)
    try:
        for start in np.unique(wanted // BLOCK * BLOCK).tolist():
            numbers = wanted[(wanted >= start) & (wanted < start + BLOCK)]
            z = latents(BLOCK, config.latent_dim, samples.seed, start, config.latent, samples.truncation)
            labels = class_labels(config.classes, BLOCK, start, label)
            images = to_array(network(z.to(device), None if labels is None else labels.to(device)))
            rows = numbers - start
            yield numbers, images[rows], seen.pop()[torch.from_numpy(rows).to(device)].permute(0, 2, 3, 1).cpu().numpy()
    finally:
        hook.remove()


def forget(
    generator: Generator,
    samples: Samples,
    masks: Masks,
    *,
    scale: int = 2,
    maps: int | None = None,
    l2: float = L2,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Forgetting:
    """Decide which maps stand for what the masks of some samples show.

    scale: of the maps, 2 are those half the image's size (the paper's "second highest convolution layer").
    maps: drop at most so many, those of the largest weights; None: all with a positive one, as the paper does.
    l2: of the regression. seed: of the random places outside the masks.
    Raises InputError for values that make no sense, and for masks that hold nothing or everything.
    """
    if maps is not None and maps < 1:
        raise InputError(f"maps: {maps} cannot be dropped; at least 1")
    if not 0 < l2 < math.inf:
        raise InputError(f"l2: {l2} is outside (0, ∞)")
    rng, inside, outside = np.random.default_rng(seed), list[np.ndarray](), list[np.ndarray]()
    done = images_used = 0
    for numbers, images, activations in drawn(generator, samples, scale):
        covered = coverage(masks(numbers, images), activations.shape[1:3], scale)
        for share, cells in zip(covered, activations, strict=True):
            inner, outer = cells[share >= 0.5], cells[share == 0]
            if len(inner) and len(outer):
                images_used += 1
                inside.append(inner)
                outside.append(outer[rng.permutation(len(outer))[: len(inner)]])
        done += len(numbers)
        if progress:
            progress(done, len(samples.numbers))
    if not inside:
        raise InputError(
            f"masks: nothing to learn from in {len(samples.numbers):,} samples; some have to hold half a place of "
            f"{scale}x{scale} pixels or more, and leave some"
        )
    x, y = (
        np.concatenate(inside + outside).astype(np.float64),
        np.repeat([True, False], [*map(_rows, (inside, outside))]),
    )
    weights, accuracy = weigh(x, y, l2)
    order = np.argsort(-weights, kind="stable")
    dropped = tuple(int(i) for i in order[: int((weights > 0).sum())][:maps])
    if not dropped:
        raise InputError("maps: none has a positive weight; nothing tells the places inside from those outside")
    return Forgetting(scale, dropped, weights, images_used, int(y.sum()), accuracy)


def _rows(parts: list[np.ndarray]) -> int:
    return sum(map(len, parts))


def weigh(x: np.ndarray, y: np.ndarray, l2: float) -> tuple[np.ndarray, float]:
    """Each map's weight, of activations x (N, C) inside (y true) and outside; and the share told apart."""
    if not np.isfinite(x).all():
        raise InputError("the generator's maps are NaN or infinite; was it trained?")
    spread = x.std(0)
    changing = spread > 0
    weights = np.zeros(x.shape[1])
    if not changing.any():
        return weights, 0.5
    scaled = (x - x.mean(0))[:, changing] / spread[changing]  # centred: only the bias feels it, and it is not penalised
    try:
        weights[changing], bias = logistic(scaled, y, l2)
    except ValueError as error:  # too nearly the same activations everywhere for numbers of 64 bits
        raise InputError(f"boxes: what is in them cannot be told from the rest ({error}); draw others") from error
    return weights, float(((scaled @ weights[changing] + bias > 0) == y).mean())


def coverage(masks: np.ndarray, size: tuple[int, int], scale: int) -> np.ndarray:
    """The share of each map's place that masks bool (N, H, W) cover: (N, h, w); NaN where it reaches beyond the image.

    Generators draw a little larger than some sizes and crop the middle.
    """
    n, height, width = masks.shape
    whole = np.full((n, size[0] * scale, size[1] * scale), np.nan)
    top, left = (whole.shape[1] - height) // 2, (whole.shape[2] - width) // 2
    whole[:, top : top + height, left : left + width] = masks
    return whole.reshape(n, size[0], scale, size[1], scale).mean((2, 4))


@torch.no_grad()
def without(generator: Generator, forgetting: Forgetting) -> Generator:
    """A generator that draws the same samples without the maps; its description says so. The one given is left."""
    network = copy.deepcopy(generator.network)
    layer, chosen = doubling(network, forgetting.scale), list(forgetting.maps)
    if isinstance(layer, nn.ConvTranspose2d):
        layer.weight[chosen] = 0.0  # (in, out, kernel, kernel)
    else:
        layer.weight[:, chosen] = 0.0  # (out, in, kernel, kernel)
    said = {"scale": forgetting.scale, "maps": chosen}
    before = generator.info.trained.get("forgot")
    trained = {**generator.info.trained, "forgot": [*(before if isinstance(before, list) else []), said]}
    return type(generator)(network, replace(generator.info, trained=trained)).eval()


def save_run(edited: Generator, source: Path, out: Path) -> None:
    """Write a generator as a run directory that every command takes: settings, data and discriminator are the source's.

    Raises InputError if there is something at `out`.
    """
    require_new(out, folders=False, option="--save-run")
    if (source / "config.yaml").is_file():
        Run(source).require_no_links()  # nothing from elsewhere is copied into what may be published
    try:
        if source.is_dir():
            out.mkdir(parents=True)
            for name in ("config.yaml", "data.json", "discriminator.safetensors"):
                if (source / name).is_file():
                    write_atomically(out / name, (source / name).read_bytes())
        edited.save_pretrained(out)
    except OSError as error:
        raise InputError(f"{printable(out)}: cannot be written ({error.strerror})") from error


def to_dict(forgetting: Forgetting) -> dict[str, Any]:
    """Plain values, for JSON."""
    return {**asdict(forgetting), "maps": list(forgetting.maps), "weights": forgetting.weights.tolist()}
