"""`dcgan explore`: a page on this machine to look at runs with."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dcgan.cli import DONE
from dcgan.errors import InputError


@dataclass(frozen=True)
class ExploreOptions:
    """Draw, walk, slide, add, forget, follow the training and look for copies, in a browser. Ctrl-C ends it.

    The page is answered to this machine alone, and asks nothing of any other.
    """

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RUN [RUN ...]", help="Run directories or weights files; one may still be training."),
    ]
    port: Annotated[int, tyro.conf.arg(metavar="P", help="Of the loopback address; 0: any free one.")] = 7868
    browser: Annotated[bool, tyro.conf.arg(help="Open a browser; --no-browser only prints the address.")] = True
    precision: Annotated[
        Literal["fp32", "bf16", "auto"],
        tyro.conf.arg(help="fp32: the very images of dcgan sample; bf16: sooner where the hardware has it."),
    ] = "fp32"
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to draw.")] = "auto"


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(ExploreOptions, prog="dcgan explore", args=arguments)
    if not options.runs:
        raise InputError("name a run directory to explore: dcgan explore runs/digits-fast")
    if not 0 <= options.port < 2**16:
        raise InputError(f"port: {options.port} is outside [0, 65535]")
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise InputError("explore: the server is not installed: pip install 'dcgan[explore]'")
    from dcgan.explorer.opened import Opened, names_apart
    from dcgan.explorer.server import MOST_RUNS, listen, serve

    if len(options.runs) > MOST_RUNS:
        raise InputError(f"{len(options.runs)} runs are too many for one page; at most {MOST_RUNS}")
    with listen(options.port) as listening:
        runs = [
            Opened(path, options.device, options.precision, name)
            for path, name in zip(options.runs, names_apart(options.runs), strict=True)
        ]

        def started(address: str) -> None:
            print(f"exploring {', '.join(opened.name for opened in runs)} at {address} (Ctrl-C ends)", flush=True)
            if options.browser:
                import webbrowser

                # Some browsers are waited for, and they wait for the server.
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        serve(runs, listening, started)
    return DONE
