"""`dcgan data dedup`: find images that are nearly the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dcgan.cli import DONE, say
from dcgan.cli.pictures import Data, DataRoot, MaxSkipped, outside
from dcgan.errors import InputError, printable
from dcgan.files import require_new
from dcgan.progress import Display


@dataclass(frozen=True)
class DedupOptions:
    """Find photographs that are nearly the same: copies re-compressed, brighter, cropped or moved a little.

    Nothing is moved unless --move-to says so, and nothing is ever deleted. `dcgan train --dedup` learns from the first
    of each group only.
    """

    data: Data
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="FOLDER", help="Write a report there: pictures, groups.json, a list.")
    ] = None
    move_to: Annotated[
        Path | None,
        tyro.conf.arg(metavar="FOLDER", help="Move all but the largest of each group there (DATA is a folder)."),
    ] = None
    agreement: Annotated[float, tyro.conf.arg(metavar="X", help="From which two images are the same. In (0.8, 1].")] = (
        0.94
    )
    data_root: DataRoot = None
    max_skipped: MaxSkipped = 0.1


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(DedupOptions, prog="dcgan data dedup", args=arguments)
    wrong = outside(("max_skipped", options.max_skipped, 0, 1))
    if not 0.8 < options.agreement <= 1:
        wrong.append(f"agreement: {options.agreement:g} is outside (0.8, 1]")
    if wrong:
        raise InputError("\n".join(wrong))
    require_new(options.out, folders=False, option="--out")
    from dcgan.curation.dedup import duplicates
    from dcgan.curation.report import check_move, copies, move_aside, write_report
    from dcgan.data.pack import inspect, pack
    from dcgan.data.sources import find_source

    source = find_source(options.data, options.data_root)
    if options.move_to:
        check_move(source, options.move_to)
    with Display() as display:
        display.say(f"data: {source.description}")
        counter = display.counter
        packed = pack(
            source, (64, 64), inspect(source).channels, max_skipped=options.max_skipped, progress=counter("packing")
        )
        groups = copies(source, packed, duplicates(packed, agrees=options.agreement, counter=counter))
    more = sum(map(len, groups)) - len(groups)
    skipped = f"; {len(packed.skipped):,} could not be read" if packed.skipped else ""
    say(f"{len(packed.images):,} images: {len(groups):,} groups with {more:,} duplicates{skipped}")
    try:
        if options.out:
            write_report(options.out, packed, groups, {"agreement": options.agreement})
            say(f"{printable(options.out)}: groups.json, duplicates.txt and pages of pictures")
        if options.move_to:
            moved, stay = move_aside(source, groups, options.move_to)
            left = f"; {stay:,} left where they are: links, or what a link leads to" if stay else ""
            say(f"{printable(options.move_to)}: {moved:,} files moved there{left}")
    except OSError as error:
        raise InputError(f"{printable(error.filename)}: cannot be written ({error.strerror})") from error
    return DONE
