"""What long work shows: a live display in a terminal or notebook, plain lines on a pipe or in CI."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dcgan.errors import printable
from dcgan.notebook import Panel

PLAIN_SECONDS = 10.0
LIVE_SECONDS = 0.2
NOTEBOOK_SECONDS = 1.0


class Counter(Protocol):
    """Shows how far something has come; `note` is what else should be seen."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@dataclass
class Position:
    """How far a training has come."""

    step: int = 0
    images: int = 0
    """Real images shown."""
    seconds: float = 0.0
    """Of training, all its sessions together."""


class _Console(Console):
    """rich's own ends the process, without a word, when its reader has left: here `Display` decides."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def drop(stream: IO[str]) -> None:
    """From here on what is written to the stream is lost, and no error: its reader has left, or its disk is full."""
    with contextlib.suppress(OSError, io.UnsupportedOperation), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class Display:
    """Bar, rate, time left, losses, D(x), D(G(z)) and the last grid. Owns the terminal while it is open.

    Nothing that is done fails because it can no longer be shown; `left` says that whoever read it has gone.
    """

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or _Console(quiet=quiet, highlight=False, soft_wrap=True)
        self.left = False
        self.last_grid: Path | None = None
        self._live = Live(console=self.console, auto_refresh=False, transient=True)
        self._panel = Panel() if self.console.is_jupyter and not self.console.quiet else None
        self._interval = LIVE_SECONDS if self.console.is_terminal else PLAIN_SECONDS
        if self.console.is_jupyter:
            self._interval = NOTEBOOK_SECONDS
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        if self._interval == LIVE_SECONDS:
            self._live.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """A line or some that stay; control characters in them are escaped."""
        with self._lasting():
            self.console.print(Text("\n".join(map(printable, text.split("\n"))), style=style))

    def warn(self, text: str) -> None:
        """A line that should be read."""
        self.say(f"warning: {text}", "yellow")

    def counter(self, doing: str, unit: str = "images") -> Counter:
        """A function of (done, total) that shows "packing 3,000 of 60,000 images", the rate and the time left."""
        began: tuple[float, int] | None = None

        def show(done: int, total: int, note: str = "") -> None:
            nonlocal began
            now = time.monotonic()
            if began is None:
                began = (now, done)
            if done < total and now - self._shown < self._interval:
                return
            rate = (done - began[1]) / max(now - began[0], 1e-9)
            speed = f" · {rate:,.0f} {unit}/s" if rate >= 1 else f" · {rate:.2g} {unit}/s" if rate else ""
            left = f" · {_clock((total - done) / rate)} left" if rate and done < total else ""
            line = f"{doing} {done:,} of {total:,} {unit}{speed}{left}"
            self._show(done / max(total, 1), f"{line} · {note}" if note else line)

        return show

    def training(self, position: Position, share: float, rate: float, metrics: dict[str, float]) -> None:
        """Where the training is; `share` is how much of it is done, `rate` in images a second."""
        if time.monotonic() - self._shown >= self._interval:
            self._show(share, describe(position, share, rate, metrics))

    def _show(self, share: float, line: str) -> None:
        self._shown = time.monotonic()
        if self._interval == NOTEBOOK_SECONDS:
            if self._panel:
                self._panel.show(share, line, self.last_grid)
            return
        if self._interval == PLAIN_SECONDS:
            self.say(f"{share:4.0%}  {line}")
            return
        rows = Table.grid()
        rows.add_row(ProgressBar(total=1.0, completed=share, width=min(60, self.console.width)))
        rows.add_row(Text(printable(f"{share:4.0%}  {line}")))
        if self.last_grid:
            rows.add_row(Text(f"last grid: {printable(self.last_grid)}", style="dim"))
        with self._lasting():
            self._live.update(rows, refresh=True)

    @contextlib.contextmanager
    def _lasting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            lost = self.console.file
            drop(lost)
            self.left |= isinstance(error, BrokenPipeError)  # `| head` does so, or a `| tee` that Ctrl-C ended first
            if lost is sys.stderr:
                self.console.quiet = True
            else:
                self.console.file = sys.stderr
                self.warn(f"the output can no longer be written ({error}); what is left to say is said here")


def describe(position: Position, share: float, rate: float, metrics: dict[str, float]) -> str:
    """ "12,800 images · 1,900 images/s · 1:20 left · loss D 0.62 G 0.95 · D(x) 0.58 · D(G(z)) 0.41" """
    parts = [f"{position.images:,} images", f"{rate:,.0f} images/s"]
    if share > 0:
        parts.append(f"{_clock(position.seconds * (1 - min(share, 1)) / share)} left")
    losses = [f"{who} {metrics[key]:.2f}" for who, key in (("D", "loss_d"), ("G", "loss_g")) if key in metrics]
    if losses:
        parts.append("loss " + " ".join(losses))
    parts += [f"{who} {metrics[key]:.2f}" for who, key in (("D(x)", "d_real"), ("D(G(z))", "d_fake")) if key in metrics]
    return " · ".join(parts)


def _clock(seconds: float) -> str:
    """65 → "1:05"; 3700 → "1:01:40"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
