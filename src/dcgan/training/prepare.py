"""From settings to packed images: find the data, settle what was left on auto, decode once."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dcgan import distributed
from dcgan.config import MAX_SIDE, MIN_SIDE, SIDE_MULTIPLES, Config
from dcgan.data.pack import Inspection, Pack, inspect, pack
from dcgan.data.shards.pattern import is_url
from dcgan.data.shards.source import streamable
from dcgan.data.source import Source
from dcgan.data.sources import NAMES, find_source, find_source_of_run
from dcgan.data.subset import without
from dcgan.device import resolve_device
from dcgan.errors import InputError, printable
from dcgan.progress import Display
from dcgan.reading import at_home

LARGEST_AUTO_SIDE = 128
AUTO_SIDE = 64
NAMED_SKIPPED = 3


class Prepared(NamedTuple):
    """Settings with nothing left on auto, the images as a memory map, and the short name of their source."""

    config: Config
    pack: Pack
    name: str


def prepare(config: Config, display: Display, left_out: Sequence[int] | None = None, resumed: bool = False) -> Prepared:
    """Find the data, settle the settings by it, and pack it (or open the pack of an earlier time).

    left_out: the duplicates that an earlier session of the run has left out, which is how a resume has the very same
    images on any machine. Raises InputError for data that cannot be used; see `dcgan.data`. Of several processes the
    main one goes first, and the others find what it has packed (those of another host: or pack it there).
    """
    config.check()
    _require_even_shares(config)
    resolve_device(config.training.device)
    if config.training.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise InputError("tensorboard: is not installed: pip install 'dcgan[tensorboard]'")
    if config.training.metrics:
        from dcgan.evaluation.metrics import OF_FEATURES, check_metrics, metric_names

        check_metrics(metric_names(config.training.metrics), among=OF_FEATURES)
    with distributed.in_turn():
        prepared = _prepared(config, display, resumed)
    if config.data.dedup:
        prepared = prepared._replace(pack=_without_duplicates(prepared.pack, left_out, display))
    config, packed, _ = prepared
    if config.data.partial_batches and packed.total < 2:
        raise InputError(
            "partial_batches: there is one image, and a batch of one is too small for batch norm; give more images, or "
            "leave it out (--no-partial-batches)"
        )
    rest, world = packed.total % config.training.batch_size, distributed.world()
    alone = world > 1 and not config.training.sync_batchnorm  # then each process wants two to compare
    if config.data.partial_batches and rest > 1 and (rest % world or (alone and rest < 2 * world)):
        raise InputError(
            f"partial_batches: the last {rest:,} images of an epoch cannot be shared evenly by {world} processes"
            f"{', 2 or more each' * alone}; leave it out (--no-partial-batches), or take another --batch-size"
        )
    _warn(config, packed, display)
    return prepared


def _require_even_shares(config: Config) -> None:
    """Several processes have as many images of a batch each, and batch norm compares images."""
    size, world = config.training.batch_size, distributed.world()
    if world > 1 and size < 2 * world and not config.training.sync_batchnorm:
        raise InputError(
            f"batch_size: {world} processes want 2 images each without --sync-batchnorm, not {size} in all"
        )
    if size % world:
        low = size // world * world
        near = f"{low} and {low + world} do" if low else f"{world} does"
        raise InputError(f"batch_size: {size} images cannot be shared evenly by {world} processes; {near}")


def _prepared(config: Config, display: Display, resumed: bool) -> Prepared:
    """Everything but the duplicates."""
    if resumed:
        source = find_source_of_run(config.data.data, config.data.data_root)
    else:
        source = find_source(config.data.data or None, Path(config.data.data_root) if config.data.data_root else None)
    display.say(f"data: {printable(source.description)}")
    streamed = streamable(source, config.data) if config.data.stream else None
    source = streamed.sample() if streamed else source
    config = settled(config, source).replace(data=located(config.data.data) or source.name)
    config.check()
    packed = pack(
        source,
        config.network.size,
        config.network.image_channels,
        resample=config.data.resample,
        workers=config.data.workers or None,
        max_skipped=config.data.max_skipped,
        progress=display.counter("packing"),
    )
    return Prepared(config, dataclasses.replace(packed, streamed=streamed), source.name)


def _without_duplicates(packed: Pack, left_out: Sequence[int] | None, display: Display) -> Pack:
    from dcgan.curation.dedup import duplicates

    if left_out is None:
        left_out = distributed.from_main(lambda: [*map(int, duplicates(packed, counter=display.counter).left_out)])
    display.say(f"{len(left_out):,} duplicates of {len(packed.images):,} images are left out")
    return without(packed, left_out)


def located(data: str) -> str:
    """A path made absolute, so that a resume finds it from any folder; names stay as they are."""
    return data if data in ("", *NAMES) or is_url(data) else str(at_home(data).resolve())


def describe_data(packed: Pack) -> dict[str, Any]:
    """What data.json says of the images a run is trained on."""
    return {
        "source": packed.source,
        "key": packed.key,
        "digest": None if packed.streamed else packed.digest,
        "images": packed.total,
        "sample": len(packed.images) if packed.streamed else None,
        "shape": list(packed.images.shape[1:]),
        "class_names": list(packed.class_names),
        "upscaled": packed.upscaled,
        "left_out": list(packed.left_out),
        "skipped": [{"name": name, "reason": reason} for name, reason in packed.skipped],
    }


def settled(config: Config, source: Source) -> Config:
    """The settings with nothing of the networks left on auto: by the images of a source, and its classes."""
    if config.network.image_size == "auto" or config.network.channels == "auto":
        config = _settle(config, inspect(source))
    if config.network.conditional and not source.class_names:
        how = "; .cls files do in tar shards, which are named by a pattern: 'x-*.tar'" if source.sequential else ""
        raise InputError(
            f"conditional: {printable(source.name)} has no class labels (one folder a class gives some{how})"
        )
    return config.replace(classes=len(source.class_names) if config.network.conditional else 0)


def _settle(config: Config, found: Inspection) -> Config:
    """Replace auto by what the images are."""
    settings: dict[str, Any] = {}
    if config.network.channels == "auto":
        settings["channels"] = found.channels
    if config.network.image_size == "auto":
        multiple, size = SIDE_MULTIPLES[config.network.family], found.common_size
        fits = size is not None and all(
            MIN_SIDE <= side <= min(LARGEST_AUTO_SIDE, MAX_SIDE) and side % multiple == 0 for side in size
        )
        height, width = size if size is not None and fits else (AUTO_SIDE, AUTO_SIDE)
        settings["image_size"] = str(height) if height == width else f"{height}x{width}"
    return config.replace(**settings)


def _warn(config: Config, packed: Pack, display: Display) -> None:
    """Say what a user should know of the data before hours of training."""
    if packed.skipped:
        names = "; ".join(f"{printable(name)}: {reason}" for name, reason in packed.skipped[:NAMED_SKIPPED])
        more = ", …" if len(packed.skipped) > NAMED_SKIPPED else ""
        display.warn(
            f"{len(packed.skipped):,} images could not be read and are left out ({names}{more}); see data.json"
        )
    if packed.upscaled:
        display.warn(f"{packed.upscaled:,} images are smaller than {config.network.image_size} and are enlarged")
    if config.training.loss == "wasserstein" and config.network.discriminator_norm == "batch":
        display.warn(
            "the gradient penalty is of single images, which batch norm mixes; --discriminator-norm none is meant"
        )
    if packed.total < config.training.batch_size:
        display.warn(
            f"there are {packed.total:,} images, fewer than the batch of {config.training.batch_size}: "
            + ("batches are smaller" if config.data.partial_batches else "each batch goes through them more than once")
        )


def settings_that_differ(old: Config, new: Config) -> list[str]:
    """ "lr: 0.0002 in the run, 0.001 asked for" for each setting that a resume must not change."""
    before, after = old.flat(), new.flat()
    changed = [name for name in before if before[name] != after[name] and name not in FREE_ON_RESUME]
    preset = [] if old.preset == new.preset else [f"preset: {old.preset} in the run, {new.preset} asked for"]
    return preset + [f"{name}: {before[name]} in the run, {after[name]} asked for" for name in changed]


OF_THE_MACHINE = {"data_root", "workers", "max_skipped", "device", "micro_batch"}
"""Settings that hold for the session that they are given to; what a checkpoint needs of them it has.

Of a micro-batch it holds but for batch norm's view that nothing learnt is changed; where a training has run out of
memory, it is how to go on.
"""
FREE_ON_RESUME = OF_THE_MACHINE | {
    *("images", "n_epochs", "minutes"),
    *("keep_checkpoints", "checkpoint_interval", "tensorboard"),
    *("health", "health_limit", "metrics", "metric_interval", "metric_samples", "extractor"),
}
"""Settings that a resume may change: how long, where and how safely to train. Nothing learnt at a step follows from
them, but that falling learning rates fall over the length."""
