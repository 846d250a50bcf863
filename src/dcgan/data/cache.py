"""Where the cache is, and folders in it that are there whole or not at all.

What is written goes to a `….partial` folder beside its place and is moved there at the end, so that neither an
interruption nor a second process at the same work leaves anything half done. A lock beside it tells the living from
the dead.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from dcgan.errors import InputError, printable
from dcgan.files import DISK_FULL, sync_folder
from dcgan.locks import Lock

STALE_SECONDS = 24 * 3600.0


def default_cache() -> Path:
    """`$DCGAN_CACHE`, or the folder that the platform keeps for caches."""
    if chosen := os.environ.get("DCGAN_CACHE"):
        return Path(chosen).expanduser()
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
    """A folder beside `folder` to write in: moved into place on success, removed on anything else.

    What is there already stays if `is_whole(folder)`, and is replaced if not. Raises `InputError` when the cache
    cannot be written or the disk is full.
    """
    with ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial = stack.enter_context(scratch_folder(folder))
        except OSError as error:
            if error.errno in DISK_FULL:
                raise _disk_full(folder) from error
            raise InputError(
                f"cannot write the cache {printable(folder.parent)}: {error.strerror}; "
                "set DCGAN_CACHE to a folder that you can write to"
            ) from error
        try:
            yield partial
            sync_folder(partial)
            _move(partial, folder, is_whole)
            sync_folder(folder.parent)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise _disk_full(folder) from error
            raise


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """A new folder `<beside>.<random>.partial`, removed at the end; those that killed processes left go now."""
    _remove_stale(beside.parent)
    scratch = beside.with_name(f"{beside.name}.{secrets.token_hex(4)}.partial")
    lock = Lock.take(_lock_of(scratch))  # before there is anything that another process could think stale
    try:
        scratch.mkdir()
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if lock:
            lock.release()


def sync(file: BinaryIO) -> None:
    """Bring what was written to the disk itself, so that a full one is noticed."""
    file.flush()
    os.fsync(file.fileno())


def _disk_full(folder: Path) -> InputError:
    advice = "free some room, or set DCGAN_CACHE to a folder on another disk"
    return InputError(f"the disk is full: packing needs more room below {printable(folder.parent)}; {advice}")


def _move(partial: Path, folder: Path, is_whole: Callable[[Path], bool]) -> None:
    """Put a whole folder in its place; when another process was faster, its folder is as good."""
    if folder.exists() and not is_whole(folder):
        os.replace(folder, partial / "damaged")  # it goes when the partial folder does
        shutil.rmtree(partial / "damaged")
    try:
        os.replace(partial, folder)
    except OSError:
        if not is_whole(folder):
            raise


def _lock_of(partial: Path) -> Path:
    """What the process that writes a partial folder holds."""
    return partial.with_suffix(".lock")


def _remove_stale(packs: Path) -> None:
    """Remove what killed processes left half written: what nobody holds; and without locks, what is a day old."""
    for path in packs.glob("*.lock"):
        lock = Lock.take(path)
        if lock:
            if lock.real:
                shutil.rmtree(path.with_suffix(".partial"), ignore_errors=True)
            lock.release()
    for path in packs.glob("*.partial"):
        try:
            old = time.time() - path.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:  # its owner has just moved it into place
            continue
        if old and not _lock_of(path).exists():
            shutil.rmtree(path, ignore_errors=True)
