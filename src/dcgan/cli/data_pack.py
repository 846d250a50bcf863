"""`dcgan data pack`: write data as tar shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dcgan.cli import DONE
from dcgan.cli.pictures import Data, DataRoot, MaxSkipped, outside
from dcgan.errors import InputError, printable, typed
from dcgan.files import require_new
from dcgan.progress import Display


@dataclass(frozen=True)
class PackOptions:
    """Write images as tar shards in webdataset's format, with an index, for `dcgan train --stream` and others.

    Every picture keeps its own bytes unless --image-size resizes them all.
    """

    data: Data
    shards: Annotated[Path, tyro.conf.arg(metavar="FOLDER", help="The folder to make.")]
    shard_images: Annotated[int, tyro.conf.arg(metavar="N", help="Images in a shard, at most. In [1, 1e7].")] = 10_000
    shard_mb: Annotated[float, tyro.conf.arg(metavar="X", help="Megabytes of a shard, about. In [0.001, 1e5].")] = 256.0
    shuffle: Annotated[
        bool, tyro.conf.arg(help="Deal the images to the shards at random (not those of a tar); always the same way.")
    ] = True
    image_size: Annotated[
        str | None, tyro.conf.arg(metavar="SIZE", help="Crop and resize to a side such as 64, or HEIGHTxWIDTH, as PNG.")
    ] = None
    channels: Annotated[Literal["1", "3", "4"], tyro.conf.arg(help="Of resized images.")] = "3"
    data_root: DataRoot = None
    max_skipped: MaxSkipped = 0.1


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(PackOptions, prog="dcgan data pack", args=arguments)
    wrong = outside(
        ("shard_images", options.shard_images, 1, 1e7),
        ("shard_mb", options.shard_mb, 0.001, 1e5),
        ("max_skipped", options.max_skipped, 0, 1),
    )
    size = _size(options.image_size, wrong)
    if wrong:
        raise InputError("\n".join(wrong))
    require_new(options.shards, folders=False, option="--shards")
    from dcgan.data.shards.write import Sharding, write_shards
    from dcgan.data.sources import find_source

    source = find_source(options.data, options.data_root)
    how = Sharding(
        options.shard_images, options.shard_mb, options.shuffle, size, int(options.channels), options.max_skipped
    )
    with Display() as display:
        display.say(f"data: {printable(source.description)}")
        if options.shuffle and source.sequential:
            display.warn("the images of a tar can only be read in their order, so the shards keep it: not shuffled")
        written = write_shards(source, options.shards, how, display.counter("writing"))
    skipped = f"; {len(written.skipped):,} could not be read (see dataset.json)" if written.skipped else ""
    print(f"{written.images:,} images in {len(written.shards):,} shards, {written.bytes / 1e6:,.1f} MB{skipped}")
    print(f"next:\n  dcgan train {typed(options.shards)} --stream")
    return DONE


def _size(text: str | None, wrong: list[str]) -> tuple[int, int] | None:
    from dcgan.config import parse_size

    try:
        size = parse_size(text) if text else None
        if size and not all(1 <= side <= 4096 for side in size):
            raise ValueError
        return size
    except ValueError:
        wrong.append(f"image_size: {text!r} is not a side such as 64, or HEIGHTxWIDTH, up to 4096")
        return None
