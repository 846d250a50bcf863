"""`dcgan export`: a trained generator as a file or a page that runs without dcgan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dcgan.cli import DONE
from dcgan.errors import InputError, printable
from dcgan.files import require_new

if TYPE_CHECKING:
    from dcgan.export.drawing import Exported


@dataclass(frozen=True)
class ExportOptions:
    """Write a trained generator in forms that run without dcgan; one or several of --onnx, --pt2 and --web.

    Each is loaded again, and compared with the network before it is written.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    onnx: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="An ONNX file: for onnxruntime, in any language.")
    ] = None
    pt2: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="A program of torch.export: for PyTorch without dcgan.")
    ] = None
    web: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FOLDER", help="A web page that draws in the visitor's own browser: for any static host."
        ),
    ] = None
    output: Annotated[
        Literal["float", "uint8"],
        tyro.conf.arg(help="Of --onnx and --pt2: (N, C, H, W) in [-1, 1], or ready pixels (N, H, W, C)."),
    ] = "float"
    half: Annotated[
        bool, tyro.conf.arg(help="Weights of --onnx and --web as float16: half the size, nearly as exact.")
    ] = False
    title: Annotated[str | None, tyro.conf.arg(metavar="TEXT", help="Of the page; the run's name if not given.")] = None
    licence: Annotated[
        str, tyro.conf.arg(metavar="TEXT", help="Under which the weights may be used, for all to read.")
    ] = ""
    ort: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FOLDER",
            help="Where onnxruntime-web is for --web; if not given, looked for in node_modules, then fetched by npm.",
        ),
    ] = None


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(tyro.conf.FlagCreatePairsOff[ExportOptions], prog="dcgan export", args=arguments)
    wanted = [path for path in (options.onnx, options.pt2, options.web) if path is not None]
    if not wanted:
        raise InputError("nothing to write: name a file or folder as --onnx, --pt2 or --web")
    if options.half and not (options.onnx or options.web):
        raise InputError("--half is of --onnx and --web; a .pt2 has its weights in float32")
    if not options.web and (options.title or options.ort):
        raise InputError("--title and --ort are of --web, which is not asked for")
    for name, text in (("title", options.title), ("licence", options.licence)):
        if text and text.encode("utf-8", "replace").decode() != text:
            raise InputError(f"--{name}: {printable(text)} is not text in UTF-8")
    require_new(*wanted, folders=False)
    from dcgan.export.onnx import check_installed, export_onnx
    from dcgan.export.program import export_program
    from dcgan.pretrained import Generator

    source = printable(options.run.absolute().name)
    generator = Generator.from_pretrained(options.run, "cpu")
    if options.onnx or options.web:
        check_installed()
    if options.web:
        from dcgan.export.runtime import find_runtime

        runtime = find_runtime(options.ort)  # may need the network: before anything is written
    about = {"source": source, "licence": options.licence}
    if options.onnx:
        print(describe(export_onnx(generator, options.onnx, output=options.output, half=options.half, **about)))
    if options.pt2:
        print(describe(export_program(generator, options.pt2, output=options.output, **about)))
    if options.web:
        from dcgan.export.web import export_web

        title = options.title or source
        print(describe(export_web(generator, options.web, runtime, half=options.half, title=title, **about)))
        print(f"look at it:\n  python -m http.server --directory {printable(options.web)}")
    return DONE


def describe(exported: Exported) -> str:
    """What was written and how exact it is, in one line for people."""
    return (
        f"{printable(exported.path)}: {exported.size / 1e6:.1f} MB; largest difference from the network "
        f"{exported.difference:.1e} of values in [-1, 1] ({exported.images} images)"
    )
