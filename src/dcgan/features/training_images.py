"""The images a run was trained on, or others of the same shape, for what is learned from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dcgan.config import DataConfig, NetworkConfig
from dcgan.data.pack import Pack, pack
from dcgan.data.sources import find_source
from dcgan.errors import InputError, printable
from dcgan.progress import Display
from dcgan.run import Run


def training_images(model: Path, data: str | None, network: NetworkConfig, display: Display) -> Pack:
    """The training split, packed as the run did it, at the network's size and channels.

    model: a run directory, or a weights file, which wants `data`. Raises InputError for data that cannot be used, and
    if the run's own are no longer what they were.
    """
    run = Run.open(model) if (model / "config.yaml").is_file() else None
    if run is None and data is None:
        raise InputError(f"data: {printable(model)} does not say what it was trained on; name the images with --data")
    settings = run.config.data if run else DataConfig()
    if data is not None:
        settings = replace(settings, data=data)
    found = pack(
        find_source(settings.data, Path(settings.data_root) if settings.data_root else None),
        network.size,
        network.image_channels,
        resample=settings.resample,
        workers=settings.workers or None,
        max_skipped=settings.max_skipped,
        progress=display.counter("packing"),
    )
    if run and data is None and run.data.get("key") != found.key:
        raise InputError(
            f"{run}: the images of {printable(settings.data)} are not those it was trained on; name some with --data"
        )
    return found
