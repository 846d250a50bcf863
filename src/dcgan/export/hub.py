"""A run's networks and their card to the hub."""

from __future__ import annotations

import os
from pathlib import Path

from dcgan.errors import InputError, printable
from dcgan.files import require_new, write_atomically
from dcgan.hub.card import require_licence
from dcgan.hub.files import SHOWN, model_files
from dcgan.hub.repository import require_repo_id, upload
from dcgan.pretrained import Discriminator, Generator
from dcgan.run import Run


def push(
    model: str | Path,
    repo_id: str,
    *,
    licence: str = "unknown",
    public: bool = False,
    update: bool = False,
    folder: str | Path | None = None,
) -> str:
    """Upload a run directory's networks, or a generator.safetensors, to the hub; returns the address in the web.

    What goes: generator.safetensors, discriminator.safetensors if there is one, model.json, README.md (the card, with
    data, scores and protocol of the run) and samples.png. Paths in them are without their folders.
    folder: write these files there instead, and upload nothing. public, update: see `hub.repository.upload`.
    Raises InputError for wrong input, and for what the hub refuses.
    """
    require_repo_id(repo_id)
    require_licence(licence)
    model, target = Path(model), Path(folder) if folder is not None else None
    if not os.path.exists(model):
        raise InputError(f"{printable(model)}: no such run directory or weights file")
    require_new(target, folders=False, option="--folder")
    files = _files(model, repo_id, licence)
    if target is None:
        return upload(repo_id, files, public=public, update=update, message="A model of dcgan")
    try:
        target.mkdir(parents=True)
        for name, content in files.items():
            write_atomically(target / name, content)
    except OSError as error:
        raise InputError(f"{printable(target)}: cannot be written ({error.strerror})") from error
    return str(target)


def _files(model: Path, repo_id: str, licence: str) -> dict[str, bytes]:
    generator = Generator.from_pretrained(model, "cpu")
    networks: list[Generator | Discriminator] = [generator]
    if (model / Discriminator.filename).is_file():
        networks.append(Discriminator.from_pretrained(model, "cpu"))
    images = generator.sample(SHOWN)
    if not (model / "config.yaml").is_file():
        return model_files(networks, images, repo_id, licence)
    run = Run.open(model)
    scores = [score for score in run.evaluations() if isinstance(score, dict)]
    return model_files(networks, images, repo_id, licence, run.config, run.data, scores)
