"""`dcgan sample`: draw images from a trained generator."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from dcgan import distributed
from dcgan.cli import DONE, say
from dcgan.errors import InputError, printable
from dcgan.files import require_new, whole
from dcgan.images import grid, save_png, to_pil
from dcgan.reading import size_text

if TYPE_CHECKING:
    from dcgan.progress import Counter

GRID_LIMIT = 10_000


@dataclass(frozen=True)
class SampleOptions:
    """Draw images from a run directory or a generator.safetensors.

    Image i of a seed is the same whatever -n is.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    out: Annotated[Path, tyro.conf.arg(metavar="PATH", help="grid.png, images.npz, images.zip, or a folder to make.")]
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="N", help="How many.")] = 25
    seed: Annotated[int, tyro.conf.arg(metavar="N", help="Which ones.")] = 0
    label: Annotated[
        str | None, tyro.conf.arg(name="class", metavar="K", help="Class number or name; else all in turn.")
    ] = None
    truncation: Annotated[
        float | None, tyro.conf.arg(metavar="T", help="Keep z within ±T: more typical, less varied.")
    ] = None
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to draw.")] = "auto"


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(SampleOptions, prog="dcgan sample", args=arguments)
    with distributed.joined(options.device):
        return _draw(options)


def _draw(options: SampleOptions) -> int:
    distributed.from_main(lambda: _require_possible(options.out))
    if options.out.suffix.lower() == ".png" and options.n > GRID_LIMIT:
        raise InputError(f"n: a grid of {options.n:,} images is too large; name a folder, .npz or .zip as --out")
    from dcgan.pretrained import Generator
    from dcgan.progress import Display

    generator = Generator.from_pretrained(options.run, options.device)
    config = generator.info.network
    how: dict[str, Any] = {"label": options.label, "truncation": options.truncation}
    shape = (options.n, *config.size, config.image_channels)
    pieces = generator.stream(options.n, options.seed, **how)  # refuses what makes no sense before a folder is made
    try:
        distributed.from_main(lambda: _require_room(options.out, shape))
        distributed.from_main(lambda: options.out.parent.mkdir(parents=True, exist_ok=True))
        with Display(quiet=not distributed.is_main()) as display:
            show = display.counter("drawing")
            if distributed.world() == 1:
                write(options.out, _counted(pieces, options.n, show), shape)
            else:
                _write_together(options.out, generator.shares(options.n, options.seed, **how), shape, show)
    except OSError as error:
        raise InputError(f"{options.out}: cannot be written ({error.strerror})") from error
    if distributed.is_main():
        say(f"{options.out}: {options.n:,} images of {config.size[0]}x{config.size[1]}")
    return DONE


def _require_possible(out: Path) -> None:
    require_new(out, folders=False, option="--out")
    if out.suffix.lower() not in ("", ".png", ".npz", ".zip"):
        raise InputError(f"out: {out} is neither a .png, a .npz, a .zip nor a folder to make")


def _require_room(out: Path, shape: tuple[int, ...]) -> None:
    """Refuse what is known to be too large for the disk: an .npz has a byte a value."""
    if out.suffix.lower() != ".npz":
        return
    free = shutil.disk_usage(next(folder for folder in out.absolute().parents if folder.is_dir())).free
    if math.prod(shape) > free:
        raise InputError(
            f"{printable(out)}: {shape[0]:,} images are {size_text(math.prod(shape))}, and {size_text(free)} are free "
            "there; ask for fewer, or name another --out"
        )


def _counted(pieces: Iterator[np.ndarray], n: int, show: Counter) -> Iterator[np.ndarray]:
    """The pieces; shows how many of the n images there are as long as more are to come."""
    done = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        if done < n:
            show(done, n)


def _write_together(out: Path, shares: Iterator[tuple[int, np.ndarray]], shape: tuple[int, ...], show: Counter) -> None:
    """What `write` writes, by several processes: into a folder each its own share, a file the main one alone."""
    from dcgan.pretrained import SHARE

    if not _is_folder(out):
        own = ((images,) for _, images in shares)
        pieces = (piece for (piece,) in distributed.in_order(own, -(-shape[0] // SHARE)) if piece is not None)
        if distributed.is_main():
            write(out, _counted(pieces, shape[0], show), shape)
        else:
            for _ in pieces:
                pass
        return
    with contextlib.ExitStack() as stack:  # the main process's alone: when all are done, it moves the folder

        def make() -> str:
            folder = stack.enter_context(whole(out))
            folder.mkdir()
            return str(folder)

        partial = Path(distributed.from_main(make))
        for start, images in shares:
            for name, image in _named(iter([images]), shape[0], start):
                save_png(partial / name, image)
            if start + len(images) < shape[0]:
                show(start + len(images), shape[0])
        distributed.barrier()


def _is_folder(out: Path) -> bool:
    """Whether the name asks for a folder of files."""
    return not out.suffix


def write(out: Path, pieces: Iterator[np.ndarray], shape: tuple[int, ...]) -> None:
    """Write uint8 images (n, H, W, C), given in pieces, in the format that the name of `out` asks for.

    .png is a grid (of one image: the image itself), .npz one array `arr_0`, .zip PNG files, one without a
    suffix a folder of PNG files. It is there as a whole or not at all.
    """
    suffix = out.suffix.lower()
    with whole(out) as partial:
        if suffix == ".png":
            images = np.concatenate(list(pieces))
            save_png(partial, images[0] if len(images) == 1 else grid(images))
        elif suffix == ".npz":
            _write_npz(partial, pieces, shape)
        elif suffix == ".zip":
            with zipfile.ZipFile(partial, "x", zipfile.ZIP_STORED) as archive:
                for name, image in _named(pieces, shape[0]):
                    buffer = io.BytesIO()
                    to_pil(image).save(buffer, format="PNG")
                    archive.writestr(name, buffer.getvalue())
        else:
            partial.mkdir()
            for name, image in _named(pieces, shape[0]):
                save_png(partial / name, image)


def _named(pieces: Iterator[np.ndarray], n: int, number: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Each image with a file name that sorts by its number, the first of which is `number`."""
    digits = max(5, len(str(n - 1)))
    for piece in pieces:
        for image in piece:
            yield f"{number:0{digits}d}.png", image
            number += 1


def _write_npz(out: Path, pieces: Iterator[np.ndarray], shape: tuple[int, ...]) -> None:
    """As np.savez writes it, but piece by piece: memory stays flat."""
    with (
        zipfile.ZipFile(out, "x", zipfile.ZIP_STORED) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as file,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        for piece in pieces:
            file.write(np.ascontiguousarray(piece).data)
