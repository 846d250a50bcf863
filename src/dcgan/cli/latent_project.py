"""`dcgan latent project`: the latent of a picture of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dcgan.cli import DONE, say
from dcgan.errors import InputError, printable
from dcgan.files import require_new, write_json, writing

if TYPE_CHECKING:
    from dcgan.latent.project import Projection


@dataclass(frozen=True)
class ProjectOptions:
    """Find the latent whose drawing is nearest to a picture, from several starts, for each picture.

    What --json keeps can be taken for A, B or C of `dcgan latent arithmetic`.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    images: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="IMAGE...", help="Picture files.")]
    out: Annotated[
        Path, tyro.conf.arg(metavar="FILE", help="A .png: a row a picture, itself and what each restart found.")
    ]
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="Write latents and errors here.")] = None
    label: Annotated[
        str | None,
        tyro.conf.arg(name="class", metavar="K", help="Draw it as this class; else as the nearest sample's."),
    ] = None
    restarts: Annotated[
        int, tyro.conf.arg(metavar="N", help="How many starting points: the N of 1,000 samples nearest to the picture.")
    ] = 8
    steps: Annotated[int, tyro.conf.arg(metavar="N", help="Steps of each.")] = 400
    rate: Annotated[float, tyro.conf.arg(metavar="X", help="Adam's rate; it falls along a cosine.")] = 0.2
    features: Annotated[
        float, tyro.conf.arg(metavar="W", help="Weight of the discriminator's features beside the pixels' 1.")
    ] = 0.0
    seed: Annotated[int, tyro.conf.arg(metavar="N", help="Of the 1,000 samples.")] = 0
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to look.")] = "auto"


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(ProjectOptions, prog="dcgan latent project", args=arguments)
    if options.out.suffix.lower() != ".png":
        raise InputError(f"{options.out}: wants a name that ends in .png")
    if not options.images:
        raise InputError("no picture named")
    from dcgan.latent.project import project, read_picture
    from dcgan.latent.saved import generator_digest
    from dcgan.pretrained import Discriminator, Generator
    from dcgan.progress import Display
    from dcgan.run import Run

    require_new(options.out, options.json)
    generator = Generator.from_pretrained(options.run, options.device)
    label = generator.class_index(options.label)
    discriminator = Discriminator.from_pretrained(options.run, options.device) if options.features else None
    resample = Run.open(options.run).config.data.resample if (options.run / "config.yaml").is_file() else "lanczos"
    pictures = [read_picture(path, generator.info.network, resample) for path in options.images]
    found: list[Projection] = []
    try:
        with Display() as display:
            if generator.info.network.norm_stats == "batch":
                display.say("batch norm: with the statistics of the first 64 samples of seed 0")
            for path, picture in zip(options.images, pictures, strict=True):
                one = project(
                    generator,
                    picture,
                    label=label,
                    discriminator=discriminator,
                    features=options.features,
                    restarts=options.restarts,
                    steps=options.steps,
                    rate=options.rate,
                    seed=options.seed,
                    progress=display.counter(f"{printable(path.name)}:", "steps"),
                )
                found.append(one)
                display.say(
                    f"{printable(path)}: mean squared error {one.errors[0]:.5f} "
                    f"(restarts up to {one.errors[-1]:.5f}; the nearest of 1,000 samples: {one.baseline:.5f})"
                )
    finally:  # each took its time: also if the next one fails or is interrupted
        if found:
            _write(options, generator_digest(generator), found)
    return DONE


def _write(options: ProjectOptions, generator: str, found: Sequence[Projection]) -> None:
    """What was found for the first of the pictures, or for all; generator: its digest."""
    import numpy as np

    from dcgan.images import grid, save_png
    from dcgan.latent.saved import PROJECTION

    done, left = options.images[: len(found)], options.images[len(found) :]
    if options.json:
        images = [one.record(str(path)) for path, one in zip(done, found, strict=True)]
        write_json(options.json, {"format": PROJECTION, "generator": generator, "images": images})
    rows = np.concatenate([np.concatenate([one.target[None], one.images]) for one in found])
    with writing(options.out):
        save_png(options.out, grid(rows, options.restarts + 1))
    say(f"{options.out}: the picture, what was found, and the other restarts")
    if left:
        say(
            f"{len(done)} of {len(options.images)} pictures are done; name other files for {left[0]} and those after it"
        )
