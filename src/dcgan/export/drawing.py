"""A trained generator as files ship it: latents to images and nothing else, and proof that they are the same images."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

import dcgan
from dcgan.errors import InputError, printable
from dcgan.files import write_atomically
from dcgan.hub.files import for_others
from dcgan.images import to_uint8
from dcgan.latents import latents
from dcgan.networks.convolutions import UpsampleConv
from dcgan.networks.folding import folded
from dcgan.pretrained import Generator, class_labels

Output = Literal["float", "uint8"]

BATCHES = (1, 2, 7, 64)
"""Sizes of the batches that a file is compared with its network on."""
LIMIT = 1e-4
"""Most that an image's value in [-1, 1] may differ by; 1/78 of a level of 255."""
HALF_LIMIT = 0.1
"""The same for weights in half precision, whose rounding is meant: 13 levels of 255 for the worst value."""
MOST_BYTES = 2**31 - 2**20
"""What a protocol buffer, and so an ONNX file, can hold."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how far its images are from the network's."""

    path: Path
    size: int
    """Bytes."""
    difference: float
    """The largest of any value of any image compared, of values in [-1, 1]; for uint8 output, beyond rounding."""
    images: int
    """How many were compared."""


class Drawing(nn.Module):
    """latent (N, latent_dim) float32, and label (N,) int64 if conditional → images.

    float: (N, C, H, W) float32 in [-1, 1]; uint8: (N, H, W, C). On the CPU, in evaluation mode, without a norm, and
    each image independent of the others of its batch (see `Generator.alone`).
    """

    def __init__(self, generator: Generator, output: Output = "float") -> None:
        super().__init__()
        self.network = _plain(folded(generator.alone())).cpu().float()
        self.network.to(memory_format=torch.contiguous_format)  # torch.export.save wants whole tensors
        self.output = output

    def forward(self, latent: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        images = self.network(latent, label)
        return images if self.output == "float" else to_uint8(images).permute(0, 2, 3, 1).contiguous()


def traced(generator: Generator, output: Output) -> torch.export.ExportedProgram:
    """The drawing as a graph with a batch of any size. What the graph holds of this machine's paths is taken out."""
    module = Drawing(generator, output).eval()
    batch = torch.export.Dim("batch", min=1)
    inputs = example(generator, 2)
    with torch.no_grad():  # with gradients our own backward passes would be in it
        program = torch.export.export(module, inputs, dynamic_shapes=({0: batch},) * len(inputs))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def example(generator: Generator, n: int, start: int = 0) -> tuple[torch.Tensor, ...]:
    """n latents of a seed that no one sees, and labels if the generator is conditional: all classes in turn."""
    config = generator.info.network
    z = latents(n, config.latent_dim, 1, start, config.latent)
    labels = class_labels(config.classes, n, start)
    return (z,) if labels is None else (z, labels)


@torch.inference_mode()
def compare(
    generator: Generator, draw: Callable[..., np.ndarray], output: Output, limit: float = LIMIT
) -> tuple[float, int]:
    """The largest difference of what `draw` makes of latents (and labels) from the images of the network as trained.

    In several batches, of values in [-1, 1], with how many images were compared. That of a uint8 value is what it is
    off beyond the half level that rounding may cost. Raises RuntimeError if it is over `limit` or no number, or if a
    shape is wrong; InputError if the network itself draws what are no numbers.
    """
    network, start, largest = generator.alone().eval(), 0, 0.0
    device = next(network.parameters()).device
    for n in BATCHES:
        inputs = example(generator, n, start)
        wanted = network(*(tensor.to(device) for tensor in inputs)).float().cpu()
        if not bool(wanted.isfinite().all()):
            raise InputError(
                "the network draws values that are NaN or infinite: its training went wrong, or its file is damaged; "
                "nothing was written (its health.jsonl says what was noticed, and an earlier checkpoint may be sound)"
            )
        drawn = torch.from_numpy(draw(*inputs))
        if output == "uint8":
            wanted = wanted.permute(0, 2, 3, 1)
            drawn = drawn.float() / 127.5 - 1
        if drawn.shape != wanted.shape:
            raise RuntimeError(
                f"the file draws images of shape {tuple(drawn.shape)}, the network {tuple(wanted.shape)}"
            )
        difference = (drawn - wanted).abs() - (0.5 / 127.5 if output == "uint8" else 0.0)
        largest, start = max(largest, difference.max().item()), start + n
        if not bool((difference <= limit).all()):
            raise RuntimeError(
                f"the file draws other images than the network: the largest difference is "
                f"{difference.max().item():.2g} of values in [-1, 1], where {limit:g} is allowed; nothing was written"
            )
    return largest, start


def facts(generator: Generator, output: Output, source: str, licence: str) -> dict[str, Any]:
    """What a file says of itself: its inputs and output, class names, source and licence. No path of this machine."""
    info = generator.info
    config = info.network
    return {
        "format": "dcgan-export-1",
        "dcgan": dcgan.__version__,
        "source": source,
        "licence": licence or "not stated",
        "trained": for_others(info.trained),
        "latent_dim": config.latent_dim,
        "latent": config.latent,
        "classes": config.classes,
        "class_names": list(info.class_names) if config.classes else [],
        "height": config.size[0],
        "width": config.size[1],
        "channels": config.image_channels,
        "output": output,
    }


def as_text(values: dict[str, Any]) -> dict[str, str]:
    """Each fact as text, for formats whose metadata is text only: what is no text as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def check_size(generator: Generator) -> None:
    """Raises InputError if the weights are too many for one ONNX file."""
    size = 4 * sum(parameter.numel() for parameter in generator.parameters())
    if size > MOST_BYTES:
        raise InputError(f"the weights are {size / 1e9:.1f} GB, and one ONNX file holds 2; --pt2 has no limit")


def write(path: Path, content: bytes, difference: float, images: int) -> Exported:
    """Write a file that has been compared; InputError if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be written ({error.strerror})") from error
    return Exported(path, len(content), difference, images)


def _plain(network: nn.Module) -> nn.Module:
    """Upsampling convolutions as the transposed ones that they are computed as, with their kernels made once."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, UpsampleConv):
                setattr(parent, name, layer.as_transposed())
    return network
