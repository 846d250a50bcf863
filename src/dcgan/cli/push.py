"""`dcgan push`: a run's networks and their model card to the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dcgan.cli import DONE
from dcgan.errors import printable


@dataclass(frozen=True)
class PushOptions:
    """Upload the networks of a run, with a card written from it, to a repository of the Hugging Face hub.

    generator.safetensors, discriminator.safetensors, model.json, README.md and samples.png go there, and nothing else.
    It is private unless --public is given.
    """

    run: Annotated[
        tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or generator.safetensors.")
    ]
    repo: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="REPO", help="Where to: user/name.")]
    licence: Annotated[
        str, tyro.conf.arg(aliases=["--license"], metavar="NAME", help="Of the weights: mit, cc-by-4.0, openrail, ….")
    ] = "unknown"
    public: Annotated[bool, tyro.conf.arg(help="Let everyone see a repository that is made now.")] = False
    update: Annotated[bool, tyro.conf.arg(help="Add a commit to a repository that is there already.")] = False
    folder: Annotated[
        Path | None, tyro.conf.arg(metavar="FOLDER", help="Write the files into this folder, and upload nothing.")
    ] = None


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(tyro.conf.FlagCreatePairsOff[PushOptions], prog="dcgan push", args=arguments)
    from dcgan.export.hub import push

    where = push(
        options.run,
        options.repo,
        licence=options.licence,
        public=options.public,
        update=options.update,
        folder=options.folder,
    )
    if options.folder:
        print(f"{printable(where)}: what would be uploaded to {options.repo}; nothing was")
    else:
        print(f"{printable(where)}: uploaded; dcgan sample {options.repo} --out grid.png")
    return DONE
