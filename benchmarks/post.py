"""The blog post's script itself, run unchanged and watched: the baseline of the other benchmarks.

`run_script` executes the code block of the post (a Markdown file) or a plain Python file on MNIST and calls a
function after every batch. The script prints a line a batch; that `print` is where we come in, so that not a
character of it is edited. It runs in a temporary folder, where it finds MNIST and leaves its pictures.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILES = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]


class Enough(Exception):
    """Raised by the function that watches, to end the script."""


def source(path: Path) -> str:
    """The script: the Markdown's one long Python block, or the file as it is."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".md":
        return text
    return max((block.split("```")[0] for block in text.split("```py\n")[1:]), key=len)


def run_script(path: Path, mnist: Path, after_batch: Callable[[dict[str, Any]], None], *arguments: str) -> None:
    """Run the script until it ends or `after_batch`, given its global names, raises Enough."""
    names: dict[str, Any] = {"__name__": "__main__"}

    def instead_of_print(*values: object, **_: object) -> None:
        if str(values[0]).startswith("[Epoch"):
            after_batch(names)

    names["print"] = instead_of_print
    code = compile(source(path), str(path), "exec")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "data" / "mnist" / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for name in FILES:
            (raw / name).write_bytes(gzip.decompress((mnist / f"{name}.gz").read_bytes()))
        (place := Path(folder) / "a" / "b").mkdir(parents=True)  # it reads ../../data/mnist
        before, options = os.getcwd(), sys.argv
        os.chdir(place)
        sys.argv = [path.name, *arguments]
        try:
            exec(code, names)
        except Enough:
            pass
        finally:
            os.chdir(before)
            sys.argv = options
