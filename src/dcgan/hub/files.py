"""What of a model goes to the hub: its files by name, as they are uploaded."""

from __future__ import annotations

import copy
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcgan.config import Config
from dcgan.errors import without_folders
from dcgan.hub.card import Facts, card
from dcgan.hub.repository import UPLOADED
from dcgan.images import grid, save_png

SHOWN, COLUMNS = 32, 8
"""Images in samples.png: the first of seed 0."""


def model_files(
    networks: Sequence[Any],
    images: np.ndarray,
    repo_id: str,
    licence: str,
    config: Config | None = None,
    data: Mapping[str, Any] | None = None,
    scores: Sequence[Mapping[str, Any]] = (),
) -> dict[str, bytes]:
    """Weights, model.json, card and picture of a model, with the folders of its data left out of their texts.

    networks: a Generator and perhaps its Discriminator, which stay as they are. images: uint8 (N, H, W, C), drawn by
    it. config, data, scores: of its run, if there is one; of the scores those of another state of G are left out.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for network in networks:
            copied = copy.copy(network)
            copied.info = info = dataclasses.replace(network.info, trained=for_others(network.info.trained))
            copied.save_pretrained(folder)
        save_png(folder / "samples.png", grid(images, COLUMNS))
        files = {name: (folder / name).read_bytes() for name in UPLOADED if (folder / name).exists()}
    shown = info.trained.get("images")
    facts = Facts(
        repo_id,
        dataclasses.asdict(info.network),
        info.class_names,
        info.trained,
        licence,
        config,
        data or {},
        [score for score in scores if score.get("images_shown") in (None, shown)],
    )
    return files | {"README.md": card(facts).encode()}


def for_others(trained: Mapping[str, Any]) -> dict[str, Any]:
    """What `model.json` says of a training, without the folders that earlier versions wrote into it."""
    return {key: without_folders(value) if isinstance(value, str) else value for key, value in trained.items()}
