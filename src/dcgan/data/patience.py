"""Reading from drives that are slow or vanish for a while: tried again, and then a clear end instead of a crash."""

from __future__ import annotations

import errno
import mmap
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from dcgan.errors import InputError, printable

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each further try: half a minute in all, what schedulers grant between SIGTERM and SIGKILL."""
FLEETING = {
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "ETIMEDOUT", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
        *("ENODEV", "ENXIO", "ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "EREMOTEIO"),
    )
    if hasattr(errno, name)
}
"""Errors of a drive, not of a file."""
Result = TypeVar("Result")


class DataLost(InputError):
    """What is read from does not answer any more."""


def is_fleeting(error: OSError) -> bool:
    """Whether it is the drive's fault rather than the file's; a file that was listed and is gone is one such."""
    gone = isinstance(error, FileNotFoundError) and error.filename and not os.path.lexists(error.filename)
    return bool(gone) or error.errno in FLEETING


def again(attempt: Callable[[], Result], waits: Sequence[float], passes: Callable[[Exception], bool]) -> Result:
    """What `attempt` gives, called again after each of these waits in seconds while its error may pass.

    Raises the last error, or at once one that does not pass.
    """
    for wait in waits:
        try:
            return attempt()
        except Exception as error:
            if not passes(error):
                raise
        time.sleep(wait)
    return attempt()


def patiently(read: Callable[[], Result], what: str, fleeting: Callable[[OSError], bool] = is_fleeting) -> Result:
    """What `read` gives, called again after each error that may pass. Raises DataLost when none of the tries did."""
    try:
        return again(read, WAITS, lambda error: isinstance(error, OSError) and fleeting(error))
    except OSError as error:
        if not fleeting(error):
            raise
        raise DataLost(
            f"{printable(what)}: cannot be read any more ({error.strerror or error}), "
            f"tried {len(WAITS) + 1} times in {sum(WAITS):.0f} seconds; is its drive still there?"
        ) from error


class FileRows:
    """Rows of a memory map, read by its file: a drive that is gone is then an error, where the map kills the process.

    It costs 10 microseconds a batch of 16 more (64×64×3, in the page cache; the map: 72).
    """

    def __init__(self, images: np.memmap) -> None:
        self.path, self.offset = Path(str(images.filename)), images.offset
        self.shape, self.dtype = images.shape[1:], images.dtype
        self.size = int(np.prod(self.shape)) * self.dtype.itemsize
        self._file = self.path.open("rb", buffering=0)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The rows (n, …) of these numbers. Raises DataLost."""
        return patiently(lambda: self._read(rows), str(self.path), lambda _: True)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        if self._file.closed:
            self._file = self.path.open("rb", buffering=0)
        images = np.empty((len(rows), *self.shape), self.dtype)
        try:
            for place in rows.argsort().tolist():  # front to back, as they lie on the disk
                self._file.seek(self.offset + int(rows[place]) * self.size)
                if self._file.readinto(images[place].data) != self.size:
                    raise OSError(errno.EIO, "it has become shorter")
        except OSError:
            self._file.close()  # the next try opens it anew
            raise
        return images


def rows_of(images: np.ndarray) -> np.ndarray | FileRows:
    """What to take rows from: the file, if this is a whole memory map of one."""
    whole = isinstance(images, np.memmap) and isinstance(images.base, mmap.mmap) and images.flags.c_contiguous
    return FileRows(images) if whole else images  # type: ignore[arg-type]
