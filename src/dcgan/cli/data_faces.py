"""`dcgan data faces`: cut the faces out of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dcgan.cli import DONE, say
from dcgan.cli.pictures import outside
from dcgan.errors import InputError, printable, typed
from dcgan.progress import Display


@dataclass(frozen=True)
class FacesOptions:
    """Cut the faces out of photographs with OpenCV's frontal face detector, as for the paper's faces.

    Every face becomes a square picture of its own in a new folder, which `dcgan train` takes.
    """

    data: Annotated[
        tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA", help="A folder, zip or tar of photographs.")
    ]
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER", help="The folder to make.")]
    margin: Annotated[
        float, tyro.conf.arg(metavar="X", help="Added on each side, as a share of the face's side. In [0, 2].")
    ] = 0.0
    min_size: Annotated[
        int, tyro.conf.arg(metavar="N", help="Smallest side of a face in pixels, without its margin. In [24, 10000].")
    ] = 64
    size: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="Resize to this side, in [16, 4096]; else as they were cut.")
    ] = None
    format: Annotated[Literal["png", "jpeg"], tyro.conf.arg(help="Of the files written.")] = "png"


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(FacesOptions, prog="dcgan data faces", args=arguments)
    wrong = outside(
        ("margin", options.margin, 0, 2),
        ("min_size", options.min_size, 24, 10_000),
        ("size", options.size, 16, 4096),
    )
    if wrong:
        raise InputError("\n".join(wrong))
    from dcgan.curation.faces import Cut, cut_faces
    from dcgan.data.sources import find_source

    source = find_source(options.data)
    cut = Cut(options.margin, options.min_size, options.size, options.format)
    try:
        with Display() as display:
            display.say(f"data: {source.description}")
            found = cut_faces(source, options.out, cut, display.counter("looking at"))
    except OSError as error:
        raise InputError(f"{printable(options.out)}: cannot be written ({error.strerror})") from error
    say(found)
    say(f"{printable(options.out)}: the faces and faces.json; next:\n  dcgan train {typed(options.out)}")
    return DONE
