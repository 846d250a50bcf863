"""Pictures that take the decoder down, and the process with it: known by what was being decoded when that happened.

Pictures are decoded in threads, which is fast, but a decoder that crashes ends them all. So each thread notes what it
is at in a memory-mapped file; the notes outlive the process, and the next packing of the same pictures tries those few
ones in processes of their own first.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from dcgan.data.source import Item, Source

NOTE = 32  # bytes: SHA-256 of the picture's name
SLOTS = 256
NAME = "decoding"
HANGS = 60.0  # seconds that a picture may take alone


class Notes:
    """What each thread is decoding now, and which pictures none should: `deadly` says how each ends a process."""

    def __init__(self, folder: Path, deadly: Mapping[str, str]) -> None:
        self.deadly = deadly
        path = folder / NAME
        path.write_bytes(bytes(NOTE * SLOTS))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), NOTE * SLOTS)
        self._path, self._mine, self._lock, self._used = path, threading.local(), threading.Lock(), 0

    def take(self, item: Item) -> str | None:
        """Note that this thread begins with a picture; why it must not, if it is a deadly one."""
        if item.name in self.deadly:
            return self.deadly[item.name]
        if not hasattr(self._mine, "start"):
            with self._lock:
                self._mine.start, self._used = self._used % SLOTS * NOTE, self._used + 1
        self._map[self._mine.start : self._mine.start + NOTE] = _note(item)
        return None

    def close(self) -> None:
        """All went well, or failed in a way that Python could tell."""
        self._map.close()
        self._path.unlink(missing_ok=True)


def suspects(folder: Path) -> set[bytes]:
    """Notes of packings into this folder that did not end."""
    found: set[bytes] = set()
    for path in folder.parent.glob(f"{folder.name}.*.partial/{NAME}"):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        found |= {content[start : start + NOTE] for start in range(0, len(content), NOTE)}
    return found - {bytes(NOTE)}


def find_deadly(source: Source, notes: Collection[bytes], decode: Callable[[Item], object]) -> dict[str, str]:
    """Which of the pictures noted end, or hang, a process that decodes them, by name, and how.

    Where there is no `fork` (Windows) none is tried.
    """
    if not notes or not hasattr(os, "fork"):
        return {}
    found = {}
    for item in source.items():
        if _note(item) in notes and (how := _alone(lambda item=item: decode(item))):  # type: ignore[misc]
            found[item.name] = how
    return found


def _note(item: Item) -> bytes:
    return hashlib.sha256(item.name.encode("utf-8", "surrogateescape")).digest()


def _alone(work: Callable[[], object]) -> str:
    """How a child process ends at this work; nothing if it survives, be it with an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads: the child decodes and ends
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    until = time.monotonic() + HANGS
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            return f"its decoder crashes ({signal.Signals(number).name})" if number else ""
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return f"its decoder takes over {HANGS:.0f} seconds"
