"""Where the cache is, and folders in it that are there whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from dcgan.errors import InputError, printable
from dcgan.files import DISK_FULL, whole
from dcgan.reading import at_home


def default_cache() -> Path:
    """`$DCGAN_CACHE`, or the folder that the platform keeps for caches."""
    if chosen := os.environ.get("DCGAN_CACHE"):
        return at_home(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dcgan"


def default_data_root() -> Path:
    """Where named datasets live when neither `--data-root` nor `$DCGAN_DATA` says."""
    return default_cache() / "data"


@contextmanager
def partial_folder(folder: Path, is_whole: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder beside `folder` to write in: moved into place on success, removed on anything else (`files.whole`).

    What is there already stays if `is_whole(folder)`, and is replaced if not. Raises `InputError` when the cache
    cannot be written or the disk is full.
    """
    try:
        with ExitStack() as stack:
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                partial = stack.enter_context(whole(folder, is_whole))
                partial.mkdir()
            except OSError as error:
                if error.errno in DISK_FULL:
                    raise
                raise InputError(
                    f"cannot write the cache {printable(folder.parent)}: {error.strerror}; "
                    "set DCGAN_CACHE to a folder that you can write to"
                ) from error
            yield partial
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _disk_full(folder) from error
        raise


def sync(file: BinaryIO) -> None:
    """Bring what was written to the disk itself, so that a full one is noticed."""
    file.flush()
    os.fsync(file.fileno())


def write_synced(path: Path, content: bytes | memoryview) -> None:
    """A file in one go, and to the disk itself; for one in a folder that is not whole yet."""
    with path.open("wb") as file:
        file.write(content)
        sync(file)


def _disk_full(folder: Path) -> InputError:
    advice = "free some room, or set DCGAN_CACHE to a folder on another disk"
    return InputError(f"the disk is full: packing needs more room below {printable(folder.parent)}; {advice}")
