"""Locks that end with the process that holds them, however it ends: a lock file left behind locks nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from dcgan.errors import InputError, printable

FAR = 1 << 30  # the locked byte: Windows lets nobody read what is locked, and the holder's name is at the front
NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What file systems that know no locks answer."""
PATIENCE = 2.0  # seconds: a process that has been killed may be a moment about dying


class Lock:
    """An exclusive lock on a file, until `release` or the end of the process. Made by `take`."""

    def __init__(self, path: Path, file: IO[bytes], real: bool) -> None:
        self.path, self.file, self.real = path, file, real

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """The lock, with this process named in the file; None if another process (or thread) has it.

        `real` is False where the file system has no locks: then nobody is kept out. Raises OSError if the file cannot
        be written.
        """
        while True:
            file = path.open("a+b", buffering=0)
            try:
                answer = _try(file)
                if answer is False:
                    file.close()
                    return None
                if not _is(file, path):  # its last holder removed it between our opening and locking it
                    file.close()
                    continue
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            except BaseException:
                file.close()
                raise
            return cls(path, file, answer is not None)

    def release(self) -> None:
        """Let go of it, and remove the file."""
        if sys.platform == "win32":  # which removes no open file, so nobody's who has it by now
            self.file.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.file.close()


def holder(path: Path) -> str:
    """Who holds a lock that could not be had, as "process 17 on host"."""
    try:
        return printable(path.read_bytes()[:200].decode("utf-8", "replace")) or "another process"
    except OSError:
        return "another process"


@contextmanager
def sole_user(folder: Path, patience: float = PATIENCE) -> Iterator[bool]:
    """Be the only process that writes in a folder, made if need be; gives whether the file system has locks at all.

    Raises InputError that names the other process, if there still is one after `patience` seconds, or that says why
    the folder cannot be written.
    """
    path, until = folder / "lock", time.monotonic() + patience
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while (lock := Lock.take(path)) is None and time.monotonic() < until:
            time.sleep(0.05)
    except FileExistsError as error:
        raise InputError(f"{printable(folder)}: exists already and is not a folder") from error
    except OSError as error:
        raise InputError(f"{printable(folder)}: cannot be written ({error.strerror})") from error
    if lock is None:
        raise InputError(
            f"{printable(folder)}: {holder(path)} is working on it; wait until that has ended, or end it first"
        )
    try:
        yield lock.real
    finally:
        lock.release()


def _try(file: IO[bytes]) -> bool | None:
    """Whether the lock could be had; None if there are no locks here."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS_HERE:
            return None
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def _is(file: IO[bytes], path: Path) -> bool:
    """Whether the open file is the one at `path` still."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
