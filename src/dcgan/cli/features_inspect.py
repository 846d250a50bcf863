"""`dcgan features inspect`: what makes D's features respond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dcgan.cli import DONE, say
from dcgan.errors import InputError, printable
from dcgan.files import require_new, write_json, writing


@dataclass(frozen=True)
class InspectOptions:
    """Guided back-propagation of the strongest responses of D's features, beside an untrained D (Figure 5).

    Two rows a feature: the images of maximal response over the data, strongest first, and below each its gradient.
    The untrained D is on the left.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", help="The picture, a .png.")]
    data: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="Images to look at; if not given, those of the training.")
    ] = None
    layer: Annotated[
        int | None, tyro.conf.arg(metavar="K", help="Which convolution, 1 next to the image; if not given, the last.")
    ] = None
    features: Annotated[str, tyro.conf.arg(metavar="LIST", help="Which of its maps, such as 0-5 or 1,4,7.")] = "0-5"
    top: Annotated[int, tyro.conf.arg(metavar="N", help="Images a feature.")] = 6
    view: Annotated[
        Literal["auto", "image", "field"],
        tyro.conf.arg(help="Whole images or receptive fields; auto: the latter where they are half an image at most."),
    ] = "auto"
    images: Annotated[int | None, tyro.conf.arg(metavar="N", help="Look at the first N only.")] = None
    label: Annotated[
        str | None,
        tyro.conf.arg(name="class", metavar="K", help="What a conditional D is told; else each image's own class."),
    ] = None
    seed: Annotated[int, tyro.conf.arg(metavar="N", help="Of the untrained D.")] = 0
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to look.")] = "auto"
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="Write the images' numbers, places and responses.")
    ] = None


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(InspectOptions, prog="dcgan features inspect", args=arguments)
    require_new(options.out, options.json, folders=False)
    if options.out.suffix.lower() != ".png":
        raise InputError(f"out: {options.out} is no .png")
    from dcgan.features.learned import learned, parse_features
    from dcgan.images import save_png

    found = learned(
        options.run,
        options.data,
        layer=options.layer,
        features=parse_features(options.features),
        top=options.top,
        images=options.images,
        label=options.label,
        seed=options.seed,
        device=options.device,
    )
    with writing(options.out):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        save_png(options.out, found.picture(options.view))
    if options.json:
        write_json(options.json, found.to_dict())
    seen = f"receptive fields of {found.field.size[0]}x{found.field.size[1]}"
    told = f", told {found.labels}" if found.labels else ""
    say(
        f"{printable(options.out)}: convolution {found.layer} ({seen}), the {options.top} strongest of "
        f"{found.looked_at:,} images{told}; left: untrained (seed {found.seed})"
    )
    return DONE
