"""`dcgan report`: a run on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dcgan.cli import DONE
from dcgan.errors import InputError, printable
from dcgan.files import require_new


@dataclass(frozen=True)
class ReportOptions:
    """Write report.html: settings, curves, grids, metrics, health and how to do it again, in one file.

    A training writes it at its end; this does so again, with what was evaluated since.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory.")]
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="Another file to write; RUN/report.html if not given.")
    ] = None


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(ReportOptions, prog="dcgan report", args=arguments)
    from dcgan.report import write_report
    from dcgan.run import Run

    opened = Run.open(options.run)
    require_new(options.out, folders=False, option="--out")
    try:
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
        target = write_report(opened, options.out)
    except OSError as error:
        where = printable(error.filename or options.out or opened)
        raise InputError(f"{where}: cannot be written ({error.strerror})") from error
    print(f"{printable(target)}: open it in a browser, or send it to someone")
    return DONE
