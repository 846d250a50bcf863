"""`dcgan features extract`: D's convolutional features of labelled or unlabelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dcgan.cli import DONE, say


@dataclass(frozen=True)
class ExtractOptions:
    """Write the features of D's convolutions, each max-pooled to 4×4, for every image, with the labels if any."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    out: Annotated[
        Path,
        tyro.conf.arg(metavar="PATH", help="features.npz, features.safetensors, or a folder of .npy files to make."),
    ]
    data: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="The images; if not given, those of the training.")
    ] = None
    split: Annotated[Literal["train", "test"], tyro.conf.arg(help="Of data that have splits.")] = "train"
    dtype: Annotated[Literal["float32", "float16"], tyro.conf.arg(help="Of the numbers written.")] = "float32"
    recalibrate: Annotated[
        bool, tyro.conf.arg(help="Batch norm statistics from the training split, even if D has running ones.")
    ] = False
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], tyro.conf.arg(help="Of the convolutions; auto: bf16 where it is fast.")
    ] = "fp32"
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to look.")] = "auto"


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(ExtractOptions, prog="dcgan features extract", args=arguments)
    from dcgan.features.extract import extract_to

    shape = extract_to(
        options.out,
        options.run,
        options.data,
        split=options.split,
        dtype=options.dtype,
        recalibrate=options.recalibrate,
        precision=options.precision,
        device=options.device,
    )
    say(f"{options.out}: {shape[1]:,} features of {shape[0]:,} images")
    return DONE
