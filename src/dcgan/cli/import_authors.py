"""`dcgan import-authors`: the DCGAN authors' released networks as a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dcgan.cli import DONE, say
from dcgan.errors import printable, typed


@dataclass(frozen=True)
class ImportAuthorsOptions:
    """Make a run directory of the networks that the paper's authors released, SVHN's or ImageNet's at 32x32."""

    folder: Annotated[
        tyro.conf.Positional[Path],
        tyro.conf.arg(metavar="FOLDER", help="Where their tensors are: gen_01.npy …, discrim_01.npy …."),
    ]
    out: Annotated[Path, tyro.conf.arg(metavar="RUN", help="The run directory to make.")]


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(ImportAuthorsOptions, prog="dcgan import-authors", args=arguments)
    from dcgan.export.authors import LOOKED_AT, import_authors

    imported = import_authors(options.folder, options.out)
    network, where = imported.config.network, printable(imported.run)
    say(
        f"{where}: the authors' networks ({imported.config.preset}, width {network.width}, {network.image_size} pixels)"
    )
    say(f"mean output of D, {LOOKED_AT:,} images each:")
    for name, outputs in (("as their code computes it", imported.outputs), ("kernels not flipped", imported.unflipped)):
        say(f"  {name + ':':<26} D on its own samples {outputs.own:.3f}, on uniform noise {outputs.noise:.3f}")
    say("what that says is in docs/authors.md")
    say(f"next:\n  dcgan sample {typed(imported.run)} -n 64 --out drawn.png")
    return DONE
