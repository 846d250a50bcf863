"""What turns images into features: an `Extractor` says exactly what it is, and runs in batches.

`inception` is FID's own Inception-v3 as torch-fidelity has it, `dinov2` the ViT-S/14 of DINOv2; the third,
`classifier`, is in `classifier`. Images are resized by the extractor as torch-fidelity does.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from dcgan.data.pack import Progress
from dcgan.errors import InputError, printable
from dcgan.evaluation.weights import DINOV2_URL, INCEPTION_URL, digest, fetch_weights, find_weights, load_weights

GPU_BATCH = 256


class Features(NamedTuple):
    """Of N images: features float32 (N, D), and class logits float32 (N, classes) if there are any."""

    features: np.ndarray
    logits: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Extractor:
    """A network that gives features, and all that a score must say of it."""

    name: str
    digest: str
    """SHA-256 of its weights and of the recipe that prepares the images."""
    resize: str
    """What it does to the images first."""
    dimensions: int
    has_classes: bool
    """Whether it gives logits, so that there is an Inception Score."""
    precision: str
    """fp32 or bf16."""
    device: torch.device
    network: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]
    """uint8 (N, C, H, W), C = 1, 3 or 4 → features (N, D) and logits or None."""
    cpu_batch: int = 16
    """Images at once on a CPU. Inception on one core with AMX in bf16: 30 images/s by 16, 26 by 32, 15 by 64."""
    learned: bool = False
    """Whether it was trained on the very training images."""

    def __call__(self, images: np.ndarray, progress: Progress | None = None) -> Features:
        """Features of uint8 images (N, H, W, C)."""
        return joined(list(self.stream([images], progress, len(images))))

    def stream(
        self, pieces: Iterable[np.ndarray], progress: Progress | None = None, total: int = 0
    ) -> Iterator[Features]:
        """Features of images that come in pieces of any size, a batch at a time."""
        done = 0
        size = self.cpu_batch if self.device.type == "cpu" else GPU_BATCH
        for piece in pieces:
            for start in range(0, len(piece), size):
                batch = piece[start : start + size]
                yield self._batch(batch)
                done += len(batch)
                if progress:
                    progress(done, total)

    def _batch(self, images: np.ndarray) -> Features:
        pixels = torch.tensor(images).permute(0, 3, 1, 2).to(self.device)
        bf16 = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            features, logits = self.network(pixels)
        return Features(features.float().cpu().numpy(), None if logits is None else logits.float().cpu().numpy())


def joined(parts: list[Features]) -> Features:
    """The parts one after the other."""
    logits = None if parts[0].logits is None else np.concatenate([part.logits for part in parts])
    return Features(np.concatenate([part.features for part in parts]), logits)


def inception(weights: Path | None, device: torch.device, precision: str = "fp32") -> Extractor:
    """FID's Inception-v3 (TensorFlow's of 2015): 2,048 features, and 1,008 logits if the file has the classifier.

    weights: the file, or None: see `find_weights`; downloaded if it is nowhere. Norms are folded into the
    convolutions, which leaves the features within 2e-5 of torch-fidelity's. Raises InputError for a wrong file.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3
    except ImportError as error:
        raise InputError("the inception extractor wants torch-fidelity: pip install 'dcgan[evaluation]'") from error
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    path = find_weights(INCEPTION_URL, weights) or fetch_weights(INCEPTION_URL)
    tensors = load_weights(path)
    has_classes = bool(tensors.get("fc.weight", torch.zeros(1)).any())
    # torch-fidelity unpickles whatever file it is given: it is given one that was written here.
    safe = io.BytesIO()
    torch.save(tensors, safe)
    safe.seek(0)
    try:
        network: Any = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=safe
        )
    except RuntimeError as error:
        raise InputError(f"{printable(path)}: these are not the weights of torch-fidelity's Inception") from error
    for module in network.modules():
        if isinstance(module, BasicConv2d):
            module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
    network = network.to(device).to(memory_format=torch.channels_last).requires_grad_(False)

    def run(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        features, logits = network(as_rgb(pixels))
        return features, logits if has_classes else None

    resize = "299x299, bilinear as in TensorFlow 1"
    return Extractor("inception", digest(tensors, resize), resize, 2048, has_classes, precision, device, run)


def dinov2(weights: Path | None, device: torch.device, precision: str = "fp32") -> Extractor:
    """The class token of DINOv2's ViT-S/14 (Oquab et al. 2023), torch-fidelity's `dinov2-vit-s-14`: 384 features.

    weights: as of `inception`. Raises InputError for a wrong file.
    """
    from dcgan.evaluation.dinov2 import VisionTransformer, prepared

    path = find_weights(DINOV2_URL, weights) or fetch_weights(DINOV2_URL)
    tensors = load_weights(path)
    tensors.pop("mask_token", None)  # of its training
    network = VisionTransformer()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{printable(path)}: these are not the weights of DINOv2's ViT-S/14") from error
    network = network.to(device).eval().requires_grad_(False)
    resize = "224x224, bilinear as in TensorFlow 1"

    def run(pixels: torch.Tensor) -> tuple[torch.Tensor, None]:
        return network(prepared(as_rgb(pixels))), None

    return Extractor("dinov2", digest(tensors, resize), resize, 384, False, precision, device, run)


def as_rgb(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 (N, C, H, W) → (N, 3, H, W): greys are repeated, and what lies behind transparency is black."""
    channels = pixels.shape[1]
    if channels == 4:
        opacity = pixels[:, 3:].float() / 255
        return (pixels[:, :3] * opacity).round_().byte()
    return pixels.expand(-1, 3, -1, -1) if channels == 1 else pixels
