"""Trained networks as people use them: load, draw, save. Files are safetensors and JSON, never pickles.

A run directory holds `generator.safetensors`, `discriminator.safetensors` and `model.json`. The weights
files carry the content of `model.json` in their headers too, so that one of them alone is enough.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from dcgan import distributed
from dcgan.config import Config, NetworkConfig
from dcgan.device import resolve_device, resolve_precision, side_by_side
from dcgan.errors import InputError, nearest, printable
from dcgan.files import read_tensors, write_atomically, write_tensors
from dcgan.hub.card import require_licence
from dcgan.hub.files import SHOWN, model_files
from dcgan.hub.repository import WEIGHTS, fetch, require_repo_id, upload
from dcgan.images import Images, to_array
from dcgan.latents import BLOCK, MOST_SAMPLES, check_seed, check_truncation, latents
from dcgan.networks import build_discriminator, build_generator
from dcgan.networks.folding import ready_to_draw
from dcgan.networks.statistics import Statistics, batch_statistics, with_statistics
from dcgan.reading import parse_json, read_header
from dcgan.values import brief

FORMAT = "dcgan-model-1"
SHARE = 1024
"""Images that a process draws in one go when several share the work: a multiple of all batches of drawings."""


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What `model.json` says of the networks beside it."""

    network: NetworkConfig
    class_names: tuple[str, ...] = ()
    trained: dict[str, Any] = dataclasses.field(default_factory=dict)
    """How it came to be: preset, data, images shown, version of dcgan."""

    def to_json(self) -> str:
        """The content of `model.json`."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=2)

    @classmethod
    def of(cls, file: Path) -> ModelInfo:
        """That of a weights file, from its header alone; InputError says what is wrong with it."""
        return cls.from_json(read_header(file).metadata.get("dcgan", "null"), file)

    @classmethod
    def from_json(cls, text: str, where: Path) -> ModelInfo:
        """Read and check; InputError says what is wrong in the file `where`."""
        try:
            values = parse_json(text)
            if values["format"] != FORMAT:
                raise InputError(f"format {brief(values['format'])} is not {FORMAT!r}; another version wrote it?")
            config = Config.from_dict({"network": values["network"]}, Config())
            config.check()
            info = cls(config.network, _texts(values["class_names"]), dict(values["trained"]))
            _ = info.network.size, info.network.image_channels
            classes = info.network.classes
            if info.network.conditional != bool(classes) or len(info.class_names) not in (0, classes):
                names = len(info.class_names)
                raise InputError(f"conditional is {info.network.conditional}, with {classes} classes and {names} names")
        except InputError as error:
            raise InputError(f"{printable(where)}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            said = printable(repr(error))[:200]
            raise InputError(f"{printable(where)}: not a description of a dcgan model ({said})") from error
        return info


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("class_names are no list of names")
    return tuple(values)


class _Pretrained(nn.Module):
    """What Generator and Discriminator have in common: one network, its description, its file."""

    filename: str

    def __init__(self, network: nn.Module, info: ModelInfo) -> None:
        super().__init__()
        self.network, self.info = network, info

    @classmethod
    def build(cls, config: NetworkConfig) -> nn.Module:
        raise NotImplementedError

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str = "auto") -> Self:
        """Load from a run directory, a weights file or the hub, onto a device, in evaluation mode.

        path: on this disk; or, if nothing is there, `user/name` or `user/name@revision` of the Hugging Face hub
        (`hf://user/name` is never a path), of which this network's file is fetched once and kept in the hub's cache.
        Raises InputError if there is no such model, if it is damaged, or if it is a pickle.
        """
        path = Path(path)
        if not os.path.exists(path):  # unlike Path.exists, also for a name that no file can have
            path = fetch(path, cls.filename)
        file = path / cls.filename if path.is_dir() else path
        if not file.exists():
            raise InputError(f"{printable(path)}: no {cls.filename} in it; a run writes it at its first checkpoint")
        info = ModelInfo.of(file)
        with torch.device("meta"):  # nothing is allocated on the word of a file before its weights fit
            network = cls.build(info.network)
        try:
            tensors, _ = read_tensors(file, like=network.state_dict())
            network.load_state_dict(tensors, assign=True)
        except (InputError, RuntimeError) as error:
            if file.name in WEIGHTS and file.name != cls.filename:
                what = f"is a {file.stem}; name the run directory, or its {cls.filename}"
                raise InputError(f"{printable(file)}: {what}") from error
            raise InputError(f"{printable(file)}: the weights do not fit its description: {error}") from error
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise InputError(f"{printable(file)}: damaged: weights that are NaN or infinite")
        # The memory layout of training: the same kernels, and so the same rounding, draw the same images.
        network = network.to(resolve_device(device)).to(memory_format=torch.channels_last)
        return cls(network, info).eval()

    def _require_labels(self, labels: torch.Tensor | None, n: int) -> None:
        """A conditional network wants a label for each of its n inputs."""
        if self.info.network.classes and (labels is None or labels.shape != (n,)):
            raise ValueError(f"this {type(self).__name__.lower()} is class-conditional: give labels of shape ({n},)")

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the weights and `model.json` into a folder, made if need be; each file whole or absent."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = self.info.to_json()
        write_tensors(folder / self.filename, self.network.state_dict(), {"dcgan": text})
        write_atomically(folder / "model.json", text.encode())


class Generator(_Pretrained):
    """A trained generator.

    Calling it maps z (N, latent_dim), and labels (N,) int64 if conditional, to float images
    (N, C, H, W) in [-1, 1]; `sample` gives uint8 images by number.
    """

    filename = "generator.safetensors"
    _ready: tuple[list[tuple[int, int]], dict[tuple[torch.dtype, bool], nn.Module]] | None = None

    @classmethod
    def build(cls, config: NetworkConfig) -> nn.Module:
        return build_generator(config)

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        self._require_latents(z)
        self._require_labels(labels, len(z))
        return self.network(z, labels)

    def _require_latents(self, z: torch.Tensor) -> None:
        dim = self.info.network.latent_dim
        if z.ndim != 2 or z.shape[1] != dim or not len(z):
            raise ValueError(f"z has shape {tuple(z.shape)}; this generator wants (N, {dim})")

    def sample(
        self,
        n: int = 1,
        seed: int = 0,
        *,
        label: int | str | None = None,
        truncation: float | None = None,
        precision: str = "fp32",
    ) -> np.ndarray:
        """n images as uint8 (n, H, W, C). Image i of a seed is the same whatever n is. A notebook shows them.

        label: class number or name, for conditional generators, as of `class_index`; None: all classes in turn.
        truncation: see `latents`. precision: "fp32"; "bf16", which draws the same images two to three times as fast
        where the hardware has it, 0.1 to 0.2 levels of 255 off on average and 12 at most (three trained networks
        of MNIST); "auto": the latter where it is fast.
        Raises InputError for values that make no sense.
        """
        pieces = list(self.stream(n, seed, label=label, truncation=truncation, precision=precision))
        return np.concatenate(pieces).view(Images)

    def stream(
        self,
        n: int,
        seed: int = 0,
        *,
        label: int | str | None = None,
        truncation: float | None = None,
        precision: str = "fp32",
        start: int = 0,
    ) -> Iterator[np.ndarray]:
        """As `sample`, in pieces: memory stays flat however large n is. From image `start` on, a multiple of BLOCK.

        What makes no sense is refused at once, not when the first piece is drawn.
        """
        if n < 1:
            raise InputError(f"n: {n} images cannot be drawn; at least 1")
        if n > MOST_SAMPLES:
            raise InputError(f"n: {n:,} images cannot be drawn; at most {MOST_SAMPLES:,}")
        if start % BLOCK:
            raise ValueError(f"start is {start}; it has to be a multiple of {BLOCK}")
        check_seed(seed)
        check_truncation(truncation)
        label = self.class_index(label)
        config, size = self.info.network, self._batch()

        def block(start: int) -> tuple[torch.Tensor, torch.Tensor | None]:
            z = latents(size, config.latent_dim, seed, start, config.latent, truncation)
            return z, class_labels(config.classes, size, start, label)

        return self._pieces(self._drawing(self._dtype(precision)), block, n, start)

    def shares(self, n: int, seed: int = 0, **how: Any) -> Iterator[tuple[int, np.ndarray]]:
        """This process's shares of the n images of `stream`: the number of the first, and up to SHARE images.

        Share i is of process i mod `world`, so that all of them together have the images of one process.
        """
        for start in range(distributed.rank() * SHARE, n, distributed.world() * SHARE):
            yield start, np.concatenate(list(self.stream(min(n, start + SHARE), seed, start=start, **how)))

    def draw(
        self,
        z: torch.Tensor,
        labels: torch.Tensor | None = None,
        precision: str = "fp32",
        statistics: Statistics | None = None,
    ) -> np.ndarray:
        """The images of latents z (N, latent_dim), and labels (N,) if conditional, as uint8 (N, H, W, C).

        Each is what it is whatever it is drawn with: `draw(latents(n, …, seed))` are the images of `sample(n, seed)`.
        A network that normalises by the batch does so with the `statistics` given, those of the first block of seed 0
        if none are; then the equality is within a level of 255, and is for the block that `statistics` are of.
        precision: as in `sample`.
        """
        self._require_latents(z)
        self._require_labels(labels, len(z))
        size = self._batch()

        def block(start: int) -> tuple[torch.Tensor, torch.Tensor | None]:
            rows = torch.arange(start, start + size).clamp_(max=len(z) - 1)  # filled up with the last one
            return z.cpu()[rows], None if labels is None else labels.cpu()[rows]

        dtype = self._dtype(precision)
        if statistics is None:
            network = self._drawing(dtype, alone=True)
        else:
            network = ready_to_draw(self.alone(statistics), dtype)
        return np.concatenate(list(self._pieces(network, block, len(z)))).view(Images)

    def statistics(
        self, seed: int = 0, block: int = 0, label: int | str | None = None, truncation: float | None = None
    ) -> Statistics | None:
        """What the norms see when samples 64 block … 64 block + 63 of a seed are drawn, all of a class or all in turn.

        None for a network that draws with running averages, where an image has no company.
        """
        config = self.info.network
        if config.norm_stats != "batch":
            return None
        device = next(self.parameters()).device
        z = latents(BLOCK, config.latent_dim, seed, block * BLOCK, config.latent, truncation)
        labels = class_labels(config.classes, BLOCK, block * BLOCK, self.class_index(label))
        return batch_statistics(self.network.eval(), z.to(device), None if labels is None else labels.to(device))

    def alone(self, statistics: Statistics | None = None) -> nn.Module:
        """The network with each image independent of the others: z, labels → float images, differentiable.

        With `statistics` for norms that use the batch's, those of the first block of seed 0 if none are given;
        a network that draws with running averages is returned as it is.
        """
        statistics = statistics or self.statistics()
        return self.network if statistics is None else with_statistics(self.network, statistics)

    def _pieces(
        self,
        network: nn.Module,
        block: Callable[[int], tuple[torch.Tensor, torch.Tensor | None]],
        n: int,
        first: int = 0,
    ) -> Iterator[np.ndarray]:
        """Images `first` … n - 1 in pieces. block(start): z and labels of a whole batch from number start on.

        A whole batch even for one image: so its rounding is always the same.
        """
        parameter = next(network.parameters())

        def draw(start: int) -> np.ndarray:
            z, labels = block(start)
            with torch.inference_mode():
                images = network(z.to(parameter), None if labels is None else labels.to(parameter.device))
            return to_array(images[: n - start])

        starts = range(first, n, self._batch())
        yield from side_by_side(draw, starts) if parameter.device.type == "cpu" else map(draw, starts)

    def _dtype(self, precision: str) -> torch.dtype:
        return resolve_precision(precision, next(self.parameters()).device)

    def _drawing(self, dtype: torch.dtype, alone: bool = False) -> nn.Module:
        """The network ready to draw in a type, made anew when a weight has changed since."""
        state = [(tensor.data_ptr(), tensor._version) for tensor in self.network.state_dict().values()]
        if self._ready is None or self._ready[0] != state:
            self._ready = state, {}
        key = dtype, alone and self.info.network.norm_stats == "batch"
        if key not in self._ready[1]:
            self._ready[1][key] = ready_to_draw(self.alone() if alone else self.network, dtype)
        return self._ready[1][key]

    def _batch(self) -> int:
        """Images drawn at once: a block of latents, and more on a GPU if the batch's statistics do not matter."""
        config = self.info.network
        if config.norm_stats == "batch" or next(self.parameters()).device.type == "cpu":
            return BLOCK
        return BLOCK * min(16, max(1, 2**16 // (config.size[0] * config.size[1])))

    def push_to_hub(self, repo_id: str, *, licence: str = "unknown", public: bool = False, update: bool = False) -> str:
        """Upload this generator with a card to the repository user/name of the hub; returns its address in the web.

        `dcgan push` and `export.hub.push` do so with D, and with what the run says of data and scores. public, update:
        see `hub.repository.upload`. Raises InputError for wrong input, and for what the hub refuses.
        """
        require_repo_id(repo_id)
        require_licence(licence)
        files = model_files([self], self.sample(SHOWN), repo_id, licence)
        return upload(repo_id, files, public=public, update=update, message="A model of dcgan")

    def class_index(self, label: int | str | None) -> int | None:
        """The number of a class, from 0, given by it or by name; InputError if there is none.

        Text is a name if a class has it, and only then a number; an int is always the number, also of names like "7".
        """
        return class_index(self.info, label)


class Discriminator(_Pretrained):
    """A trained discriminator: float images (N, C, H, W) in [-1, 1], and labels if conditional → logits (N,)."""

    filename = "discriminator.safetensors"

    @classmethod
    def build(cls, config: NetworkConfig) -> nn.Module:
        return build_discriminator(config)

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        config = self.info.network
        channels, (height, width) = config.image_channels, config.size
        if images.shape[1:] != (channels, height, width):
            wanted = f"(N, {channels}, {height}, {width})"
            raise ValueError(f"images have shape {tuple(images.shape)}; this discriminator wants {wanted}")
        self._require_labels(labels, len(images))
        return self.network(images, labels)


def class_labels(classes: int, n: int, start: int = 0, label: int | None = None) -> torch.Tensor | None:
    """Labels of images start … start + n - 1: all `label`, or every class in turn; None without classes."""
    if not classes:
        return None
    if label is not None:
        return torch.full((n,), label, dtype=torch.int64)
    return torch.arange(start, start + n, dtype=torch.int64) % classes


def class_index(info: ModelInfo, label: int | str | None) -> int | None:
    """See `Generator.class_index`."""
    classes, names = info.network.classes, info.class_names
    if label is None:
        return None
    if not classes:
        raise InputError("class: this network was trained without classes")
    if isinstance(label, str) and label in names:
        return names.index(label)
    if str(label).isdecimal() and int(label) < classes:
        return int(label)
    known = ", ".join(names) if names else f"0 to {classes - 1}"
    raise InputError(f"class: no class {label!r}{nearest(str(label), names)} (there are: {known})")
