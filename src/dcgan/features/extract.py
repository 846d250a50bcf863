"""The paper's features: all of D's convolutions, each pooled to 4×4, side by side [paper, section 5.1]."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dcgan.config import NetworkConfig
from dcgan.data.source import Split
from dcgan.device import resolve_precision, side_by_side
from dcgan.errors import InputError, printable
from dcgan.evaluation.originals import originals
from dcgan.features.activations import GRID, conv_maps, map_counts, pooled
from dcgan.features.statistics import BATCH, MOST_BATCHES, fix_statistics, needs_statistics
from dcgan.features.store import Labelled, require_possible, write_features
from dcgan.images import to_float
from dcgan.networks import build_discriminator
from dcgan.networks.folding import ready_to_draw
from dcgan.pretrained import Discriminator
from dcgan.progress import Display

Progress = Callable[[int, int], None]
ON_CPU, ON_GPU = 64, 1024
"""Images looked at together."""


@dataclass(frozen=True, eq=False)
class FeatureExtractor:
    """A discriminator's convolutions, ready to look: uint8 images (N, H, W, C) → features (N, F)."""

    network: nn.Module
    config: NetworkConfig
    maps: tuple[int, ...]
    """How many each convolution makes."""
    dtype: torch.dtype
    statistics: str
    """Where the norms' statistics are from, in words."""

    @property
    def dimensions(self) -> int:
        """F: 28,672 for the paper's ImageNet networks, 7,168 for its SVHN networks."""
        return sum(self.maps) * GRID**2

    @property
    def names(self) -> list[str]:
        """Of every feature: "conv2_17_0_3" is row 0, column 3 of map 17 of the second convolution."""
        return [
            f"conv{layer}_{c}_{y}_{x}"
            for layer, maps in enumerate(self.maps, 1)
            for c in range(maps)
            for y in range(GRID)
            for x in range(GRID)
        ]

    def stream(self, images: np.ndarray, progress: Progress | None = None) -> Iterator[torch.Tensor]:
        """Features in pieces, on the CPU, in the type of the arithmetic (float32 or bfloat16)."""
        require_images(images, self.config)
        device = next(self.network.parameters()).device
        size = ON_CPU if device.type == "cpu" else ON_GPU

        def look(start: int) -> torch.Tensor:
            pixels = torch.tensor(images[start : start + size]).permute(0, 3, 1, 2)  # channels last in memory
            with torch.inference_mode():
                return pooled(conv_maps(self.network, to_float(pixels.to(device)).to(self.dtype))).cpu()

        starts = range(0, len(images), size)
        done = 0
        for piece in side_by_side(look, starts) if device.type == "cpu" else map(look, starts):
            done += len(piece)
            if progress:
                progress(done, len(images))
            yield piece

    def __call__(
        self, images: np.ndarray, dtype: torch.dtype = torch.float32, progress: Progress | None = None
    ) -> torch.Tensor:
        """All features at once, as float32, or as float16 in half the memory."""
        return gathered(self.stream(images, progress), len(images), self.dimensions, dtype)


def feature_extractor(
    discriminator: Discriminator,
    images: np.ndarray | None = None,
    *,
    recalibrate: bool = False,
    precision: str = "fp32",
    progress: Progress | None = None,
) -> FeatureExtractor:
    """A discriminator as a source of features; it is left as it is.

    images: uint8 (N, H, W, C) that fix the statistics of its batch norms, if it has none of its own (the paper's
    presets) or `recalibrate` says so; the features of an image then depend on no other.
    precision: "fp32", "bf16", or "auto": the latter where it is fast.
    Raises InputError if statistics are wanted and there are no images, or they are of another shape.
    """
    network, config = discriminator.network, discriminator.info.network
    device = next(network.parameters()).device
    dtype = resolve_precision(precision, device)
    statistics = "running averages of the training" if config.discriminator_norm == "batch" else "no batch norm"
    if needs_statistics(network) or (recalibrate and config.discriminator_norm == "batch"):
        if images is None:
            raise InputError("images: this discriminator's batch norms want some to take their statistics from")
        require_images(images, config)
        network = fix_statistics(network, images, progress, dtype)
        statistics = f"averaged over batches of {min(len(images), BATCH * MOST_BATCHES):,} images"
    network = ready_to_draw(_plain(network, config), dtype)
    return FeatureExtractor(network, config, tuple(map_counts(network, config)), dtype, statistics)


def extract_to(
    out: str | Path,
    run: str | Path,
    data: str | Path | None = None,
    *,
    split: Split = "train",
    dtype: str = "float32",
    recalibrate: bool = False,
    precision: str = "fp32",
    device: str = "auto",
    quiet: bool = False,
) -> tuple[int, int]:
    """Write the features of all images of a split, and their labels, to a file or folder that `store` describes.

    data: by default the images that the run was trained on. Batch norm statistics, if they are wanted, are of the
    training split in either case. Returns (N, F). Raises InputError for wrong input.
    """
    out, path, display = Path(out), Path(run), Display(quiet=quiet)
    require_possible(out)
    discriminator = Discriminator.from_pretrained(path, device)
    source, network = originals(path, data), discriminator.info.network
    with display:
        wanted = recalibrate or needs_statistics(discriminator.network)
        if split == "train":
            images = trained = source.packed(network, display)
        else:
            images = source.prepared(source.source(split), network, display)
            trained = source.packed(network, display) if wanted else images
        extractor = feature_extractor(
            discriminator,
            trained.images,
            recalibrate=recalibrate,
            precision=precision,
            progress=display.counter("batch norm statistics from"),
        )
        facts = {
            "run": printable(path),
            "images": images.source,
            "maps": extractor.maps,
            "grid": GRID,
            "order": "layer, map, row, column",
            "precision": str(extractor.dtype).removeprefix("torch."),
            "statistics": extractor.statistics,
        }
        shape = (len(images.images), extractor.dimensions)
        pieces = extractor.stream(images.images, display.counter("features of"))
        write_features(out, pieces, Labelled(shape, dtype, images.labels, images.class_names, facts))
    return shape


def gathered(pieces: Iterable[torch.Tensor], n: int, dimensions: int, dtype: torch.dtype) -> torch.Tensor:
    """Pieces of features in one tensor (n, dimensions), written as they come."""
    features = torch.empty(n, dimensions, dtype=dtype)
    start = 0
    for piece in pieces:
        features[start : start + len(piece)] = piece
        start += len(piece)
    return features


def require_images(images: np.ndarray, config: NetworkConfig) -> None:
    """InputError unless images are uint8 (N, H, W, C) as the network wants them."""
    wanted = (*config.size, config.image_channels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted:
        raise InputError(
            f"images: {images.dtype} of shape {images.shape}; this discriminator wants uint8 (0 to 255) of shape "
            f"(N, {', '.join(map(str, wanted))})"
        )


@torch.no_grad()
def _plain(network: nn.Module, config: NetworkConfig) -> nn.Module:
    """The network, or one without spectral norms that has the weights these make.

    PyTorch takes a spectral norm off the class that all copies of a layer share, and so off the given network too.
    """
    if config.discriminator_norm != "spectral":
        return network
    device = next(network.parameters()).device
    plain = build_discriminator(dataclasses.replace(config, discriminator_norm="none")).to(device)
    layers = dict(network.named_modules())
    for name, layer in plain.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            layer.weight.copy_(layers[name].weight)
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                layer.bias.copy_(layers[name].bias)
    return plain.eval()
