"""A trained generator as a static web page that draws, walks and does arithmetic in the visitor's own browser."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

from dcgan.errors import InputError, printable
from dcgan.export.drawing import Exported, facts
from dcgan.export.onnx import build
from dcgan.export.runtime import Runtime, find_runtime
from dcgan.files import require_new, whole
from dcgan.pretrained import Generator

PAGE = Path(__file__).with_name("web")
"""The page's own files, which are copied as they are."""
TITLE = "{{title}}"


def export_web(
    generator: Generator,
    folder: str | Path,
    runtime: Runtime | None = None,
    *,
    half: bool = False,
    title: str = "Drawn by dcgan",
    source: str = "",
    licence: str = "",
) -> Exported:
    """Make a folder that any static host can serve: the page, the network as ONNX, and onnxruntime-web.

    The page asks for nothing outside its folder, needs no special headers, and draws the very samples of `dcgan sample`
    by seed and number (generators that normalise by the batch: those of `Generator.draw`). runtime: where
    onnxruntime-web is; found, or fetched by npm, if not given. half, source, licence: as in `export_onnx`; title: of
    the page.
    Raises what `export_onnx` and `find_runtime` raise; the folder is whole or absent.
    """
    folder = Path(folder)
    require_new(folder, folders=False)
    runtime = runtime or find_runtime()
    about = facts(generator, "uint8", source, licence)
    content, difference, images = build(generator, "uint8", half, about)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole(folder) as partial:
            (partial / "ort").mkdir(parents=True)
            for file in PAGE.iterdir():
                if file.is_file():
                    shutil.copyfile(file, partial / file.name)
            index = partial / "index.html"
            index.write_text(index.read_text("utf-8").replace(TITLE, html.escape(title)), "utf-8")
            (partial / "model.onnx").write_bytes(content)
            (partial / "model.json").write_text(json.dumps(about | {"runtime": runtime.version}, indent=2), "utf-8")
            shutil.copyfile(runtime.script, partial / "ort" / "ort.js")  # some hosts know no .mjs
            shutil.copyfile(runtime.wasm, partial / "ort" / "ort.wasm")
            size = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
    except OSError as error:
        raise InputError(f"{printable(folder)}: cannot be written ({error.strerror})") from error
    return Exported(folder, size, difference, images)
