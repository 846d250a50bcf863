"""A run that the page looks at: its generator, loaded when it is first wanted and again when the training has saved it.

Everything here is for one thread at a time; `server.Bench` sees to that.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dcgan.errors import InputError, printable, typed
from dcgan.explorer.asked import MOST_IMAGES, Pick
from dcgan.explorer.directions import Directions, principal_directions
from dcgan.explorer.told import RunInfo
from dcgan.features.forget import Forgetting, map_count, without
from dcgan.files import write_tensors
from dcgan.hub.repository import fetch
from dcgan.latents import BLOCK, latents
from dcgan.networks.convolutions import UpsampleConv
from dcgan.pretrained import Generator, class_labels

PIXELS = 2**23
"""Most pixels of one answer."""
KEPT_BYTES = 16 * 2**20
"""Of blocks of 64 images that were drawn, for each run: scrolling back, and other tabs, find them again."""
KEPT_FORGETTINGS, KEPT_EDITED = 64, 3


@dataclass(eq=False)
class Loaded:
    """A generator, and what has been made of it."""

    generator: Generator
    version: tuple[int, int, int]
    directions: Directions | None = None
    blocks: OrderedDict[tuple[object, ...], np.ndarray] = field(default_factory=OrderedDict)
    forgettings: OrderedDict[str, Forgetting] = field(default_factory=OrderedDict)
    edited: OrderedDict[str, Generator] = field(default_factory=OrderedDict)

    @functools.cached_property
    def classes(self) -> dict[str, int]:
        """The number of each class by the name that the page is shown."""
        names = self.generator.info.class_names
        return {printable(name): index for index, name in reversed([*enumerate(names)])}


def names_apart(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, with as much before it as tells it from the others: `faces` and `old/faces`."""
    resolved = [path.resolve() for path in paths]
    names = []
    for own in resolved:
        alike = [other for other in resolved if other != own]
        parts = range(1, len(own.parts))
        few = next((n for n in parts if all(other.parts[-n:] != own.parts[-n:] for other in alike)), 1)
        names.append(printable("/".join(own.parts[-few:])))
    return names


class Opened:
    """A run directory, a weights file, or a model of the hub."""

    def __init__(self, path: Path, device: str = "auto", precision: str = "fp32", name: str | None = None) -> None:
        """name: what it is called, by default the last part of its path.

        Raises InputError if there is none of the three; a run that has no generator yet is waited for.
        """
        self.path, self.device, self.precision = path, device, precision
        self.name = name or names_apart([path])[0]
        self.directory = os.path.isdir(path)  # unlike Path.is_dir, also for a name that no file can have
        place = path if os.path.exists(path) else fetch(path, Generator.filename)
        self.file = place / Generator.filename if self.directory else place
        self._loaded: Loaded | None = None
        if self.file.exists():
            self.load()
        elif not (path / "config.yaml").is_file():
            raise InputError(f"{printable(path)}: not a run directory (no config.yaml, no {Generator.filename} in it)")

    def load(self) -> Loaded:
        """The generator as it is on disk now; InputError if there is none."""
        try:
            facts = self.file.stat()
        except OSError as error:
            raise InputError(f"{self.name}: no generator yet; a run writes it at its first checkpoint") from error
        version = facts.st_mtime_ns, facts.st_size, facts.st_ino
        if self._loaded is None or self._loaded.version != version:
            self._loaded = Loaded(Generator.from_pretrained(self.file, self.device), version)
        return self._loaded

    @property
    def generator(self) -> Generator:
        """The generator as it is on disk now; InputError if there is none."""
        return self.load().generator

    def most(self, generator: Generator) -> int:
        """Images that one answer may hold."""
        height, width = generator.info.network.size
        return max(1, min(MOST_IMAGES, PIXELS // (height * width)))

    def require(self, count: int) -> None:
        """InputError if so many images are too many for one answer."""
        most = self.most(self.generator)
        if count > most:
            raise InputError(f"{count} images of this size are too many for one answer; at most {most}")

    def samples(
        self,
        start: int,
        count: int,
        seed: int,
        label: str | None = None,
        truncation: float | None = None,
        edit: str | None = None,
    ) -> np.ndarray:
        """Images start … start + count - 1 of a seed, uint8 (count, H, W, C): those of `Generator.sample`."""
        self.require(count)
        first, last = start // BLOCK, -(-(start + count) // BLOCK)
        chosen = self.class_index(label)
        blocks = [self._block(seed, block, chosen, truncation, edit) for block in range(first, last)]
        return np.concatenate(blocks)[start - first * BLOCK :][:count]

    def picked(self, picks: Sequence[Pick], edit: str | None = None) -> np.ndarray:
        """The samples picked, in order: uint8 (N, H, W, C)."""
        self.require(len(picks))
        return np.concatenate([self.samples(p.number, 1, p.seed, p.label, p.truncation, edit) for p in picks])

    def latents(self, picks: Sequence[Pick]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """z (N, latent_dim) of the samples, and the classes (N,) they are drawn as by a conditional generator."""
        generator = self.generator
        config = generator.info.network
        z = [latents(1, config.latent_dim, p.seed, p.number, config.latent, p.truncation) for p in picks]
        chosen = [class_labels(config.classes, 1, p.number, self.class_index(p.label)) for p in picks]
        labels = [label for label in chosen if label is not None]
        return torch.cat(z), torch.cat(labels) if labels else None

    def class_index(self, label: str | None) -> int | None:
        """The number of a class as the page has it, which is shown its name without what a terminal would obey."""
        loaded = self.load()
        number = None if label is None else loaded.classes.get(label)
        return loaded.generator.class_index(label) if number is None else number

    def draw(self, z: torch.Tensor, labels: torch.Tensor | None) -> np.ndarray:
        """The images of latents, uint8 (N, H, W, C); a norm that uses the batch has that of seed 0 for all of them."""
        self.require(len(z))
        return self.generator.draw(z, labels, self.precision)

    def directions(self) -> Directions:
        """The principal directions of its first activations."""
        loaded = self.load()
        if loaded.directions is None:
            loaded.directions = principal_directions(loaded.generator)
        return loaded.directions

    def keep(self, forgetting: Forgetting) -> str:
        """Remember what was forgotten; the id to draw without it."""
        forgettings, name = self.load().forgettings, secrets.token_hex(8)
        forgettings[name] = forgetting
        while len(forgettings) > KEPT_FORGETTINGS:
            forgettings.popitem(last=False)
        return name

    def edited(self, edit: str) -> Generator:
        """The generator that has forgotten; InputError for an unknown id."""
        loaded = self.load()
        if edit not in loaded.forgettings:
            raise InputError(
                "this forgetting is no longer here: the run has trained on, or many came after; do it again"
            )
        if edit not in loaded.edited:
            loaded.edited[edit] = without(loaded.generator, loaded.forgettings[edit])
            while len(loaded.edited) > KEPT_EDITED:
                loaded.edited.popitem(last=False)
        return loaded.edited[edit]

    def save(self, edit: str, name: str) -> str:
        """Write an edited generator as edited/NAME.safetensors in the run; that path below it.

        Raises InputError if there is one of that name, or no run directory, or if it cannot be written.
        """
        if not self.directory:
            raise InputError(f"{self.name} is a weights file; only a run directory has room for edited generators")
        generator, folder = self.edited(edit), self.path / "edited"
        target = folder / f"{name}.safetensors"
        try:
            if folder.is_symlink() or target.is_symlink() or target.exists():
                raise InputError(f"edited/{target.name} exists already; choose another name")
            folder.mkdir(exist_ok=True)
            write_tensors(target, generator.network.state_dict(), {"dcgan": generator.info.to_json()})
        except OSError as error:
            raise InputError(f"edited/{target.name} cannot be written ({error.strerror})") from error
        return f"edited/{target.name}"

    def info(self, number: int) -> RunInfo:
        """What the page shows of it."""
        told: dict[str, Any] = {"run": number, "name": self.name, "given": typed(self.path)}
        told["directory"] = self.directory
        try:
            generator = self.generator
        except InputError as error:
            return RunInfo(**told, ready=False, trouble=printable(error))
        config, (height, width) = generator.info.network, generator.info.network.size
        doublings = sum(isinstance(m, nn.ConvTranspose2d | UpsampleConv) for m in generator.network.modules())
        scales = [2**i for i in range(1, doublings + 1)]
        names = generator.info.class_names or tuple(map(str, range(config.classes)))
        return RunInfo(
            **told,
            height=height,
            width=width,
            channels=config.image_channels,
            latent_dim=config.latent_dim,
            latent=config.latent,
            class_names=[printable(name) for name in names] if config.classes else [],
            trained={printable(k)[:40]: printable(v)[:200] for k, v in list(generator.info.trained.items())[:20]},
            scales=scales,
            maps=[map_count(generator, scale) for scale in scales],
            most=self.most(generator),
        )

    def _block(
        self, seed: int, block: int, label: int | None, truncation: float | None, edit: str | None
    ) -> np.ndarray:
        """The 64 images of a block, from those kept or drawn now."""
        loaded = self.load()
        kept, key = loaded.blocks, (seed, block, label, truncation, edit)
        if key in kept:
            kept.move_to_end(key)
            return kept[key]
        generator, start = loaded.generator if edit is None else self.edited(edit), block * BLOCK
        how: dict[str, Any] = {"label": label, "truncation": truncation, "precision": self.precision}
        images = np.concatenate(list(generator.stream(start + BLOCK, seed, start=start, **how)))
        kept[key] = images
        while len(kept) > 1 and len(kept) * images.nbytes > KEPT_BYTES:
            kept.popitem(last=False)
        return images
