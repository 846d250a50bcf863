"""`dcgan latent walk`: from sample to sample through the latent space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from dcgan.cli import DONE, say
from dcgan.errors import InputError, printable
from dcgan.files import require_new, write_json, writing

if TYPE_CHECKING:
    from dcgan.latent.walk import Smoothness, Walk

MOVIE_SIDE = 128
"""Frames of a GIF are enlarged by a whole number to at least so many pixels."""
FRAMES_A_SECOND = 12


@dataclass(frozen=True)
class LatentWalkOptions:
    """Walk through samples of a generator, one path a row, and measure how smoothly the images change."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    out: Annotated[Path, tyro.conf.arg(metavar="PATH", help="grid.png, walk.gif, or a folder of frames to make.")]
    points: Annotated[int, tyro.conf.arg(metavar="N", help="Walk through the first N samples of the seed.")] = 9
    through: Annotated[
        str | None, tyro.conf.arg(metavar="LIST", help="Walk through these samples instead: 3,17,42.")
    ] = None
    steps: Annotated[int, tyro.conf.arg(metavar="N", help="Frames from one sample to the next, both included.")] = 10
    loop: Annotated[bool, tyro.conf.arg(help="Go back to the first sample at the end.")] = False
    interpolation: Annotated[
        Literal["spherical", "linear"], tyro.conf.arg(help="Along arcs, which are as likely as samples, or lines.")
    ] = "spherical"
    seed: Annotated[int, tyro.conf.arg(metavar="N", help="Whose samples.")] = 0
    label: Annotated[
        str | None, tyro.conf.arg(name="class", metavar="K", help="Class number or name, if there are classes.")
    ] = None
    truncation: Annotated[
        float | None, tyro.conf.arg(metavar="T", help="Keep z within ±T: more typical, less varied.")
    ] = None
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="Write what was measured there.")] = None
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to draw.")] = "auto"


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(tyro.conf.FlagCreatePairsOff[LatentWalkOptions], prog="dcgan latent walk", args=arguments)
    through = _numbers(options.through) if options.through is not None else range(min(max(0, options.points), 2**53))
    if options.out.suffix.lower() not in ("", ".png", ".gif"):
        raise InputError(f"out: {printable(options.out)} is neither a .png, a .gif nor a folder to make")
    from dcgan.latent.walk import check, walk
    from dcgan.pretrained import Generator
    from dcgan.progress import Display

    require_new(options.out, options.json, folders=False)
    check(through, options.steps, options.seed, options.interpolation, options.loop)
    generator = Generator.from_pretrained(options.run, options.device)
    with Display() as display:
        walked = walk(
            generator,
            through,
            seed=options.seed,
            steps=options.steps,
            interpolation=options.interpolation,
            loop=options.loop,
            label=options.label,
            truncation=options.truncation,
            progress=display.counter("drawing"),
        )
    smoothness = walked.smoothness()
    with writing(options.out):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        save(options.out, walked)
    if options.json is not None:
        write_json(options.json, _record(options, walked, smoothness))
    say(f"{printable(options.out)}: {len(walked.frames)} paths of {options.steps} frames")
    say(describe(smoothness))
    return DONE


def describe(smoothness: Smoothness) -> str:
    """What was measured, in one line for people."""
    row, frame = smoothness.at
    return (
        f"largest step {smoothness.largest:.1f} of 255 (path {row + 1}, frame {frame + 1} to {frame + 2}), "
        f"{smoothness.ratio:.2f} times the mean step of {smoothness.mean:.1f}; "
        f"from end to end a path goes {smoothness.ends.mean():.1f}"
    )


def save(out: Path, walked: Walk) -> None:
    """Write a walk in the format that the name of `out` asks for: a grid with a path a row, a GIF, or a folder."""
    import numpy as np

    from dcgan.images import grid, save_gif, save_png

    suffix = out.suffix.lower()
    if suffix == ".png":
        rows, steps = walked.frames.shape[:2]
        save_png(out, grid(walked.frames.reshape(rows * steps, *walked.frames.shape[2:]), steps))
    elif suffix == ".gif":
        closed = walked.through[0] == walked.through[-1]
        frames = walked.flat()[: -1 if closed else None]  # the first comes again by itself
        times = -(-MOVIE_SIDE // min(frames.shape[1:3]))
        seconds = len(frames) / FRAMES_A_SECOND
        save_gif(out, [np.kron(frame, np.ones((times, times, 1), np.uint8)) for frame in frames], seconds, hold=0)
    else:
        out.mkdir()
        for number, frame in enumerate(walked.flat()):
            save_png(out / f"{number:05d}.png", frame)


def _numbers(text: str) -> tuple[int, ...]:
    """ "3,17,42" → (3, 17, 42)."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 20 for part in parts):
        raise InputError(f"through: {printable(text)!r} is no list of sample numbers such as 3,17,42")
    return tuple(int(part) for part in parts)


def _record(options: LatentWalkOptions, walked: Walk, smoothness: Smoothness) -> dict[str, Any]:
    """What was asked for and what was measured, as plain values."""
    asked: dict[str, Any] = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(options).items()}
    asked["class"] = asked.pop("label")
    for name in ("points", "json", "device"):
        asked.pop(name)
    return asked | {"through": walked.through} | smoothness.record()
