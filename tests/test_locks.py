"""Locks keep others out, name their holder, and end with the process."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dcgan import locks
from dcgan.errors import InputError
from dcgan.locks import Lock, holder, sole_user

HOLD = """
import sys, time
from pathlib import Path
from dcgan.locks import sole_user
with sole_user(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that works on `tmp_path / "run"`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_kept_out_and_named(tmp_path, other):
    began = time.monotonic()
    with (
        pytest.raises(InputError, match=f"process {other.pid} on .* is working on it"),
        sole_user(tmp_path / "run", 0.2),
    ):
        pass
    assert 0.2 <= time.monotonic() - began < 2


def test_the_lock_ends_with_its_process(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / "run" / "lock").exists()  # left behind, and no harm
    with sole_user(tmp_path / "run", 0):
        assert holder(tmp_path / "run" / "lock").startswith(f"process {os.getpid()} on ")
    assert not (tmp_path / "run" / "lock").exists()


def test_one_that_is_just_ending_is_waited_for(tmp_path, other):
    threading.Timer(0.3, other.kill).start()
    with sole_user(tmp_path / "run", 20) as real:
        assert real


def test_many_at_once_are_one_at_a_time(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with sole_user(tmp_path, 20):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert list(tmp_path.iterdir()) == []


def test_a_lock_removed_while_it_was_waited_for_is_none(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    real = locks._try
    calls = []

    def slow(file):
        calls.append(1)
        if len(calls) == 1:  # its holder lets go, and removes it, between our opening and locking it
            path.unlink()
        return real(file)

    monkeypatch.setattr(locks, "_try", slow)
    lock = Lock.take(path)
    assert lock is not None
    assert len(calls) == 2
    assert os.path.samestat(os.fstat(lock.file.fileno()), path.stat())
    assert Lock.take(path) is None
    lock.release()


@pytest.mark.parametrize("platform", ["win32", "linux"])
def test_windows_removes_no_open_file(tmp_path, monkeypatch, platform):
    lock = Lock.take(tmp_path / "lock")
    assert lock is not None
    closed = []
    monkeypatch.setattr(locks.Path, "unlink", lambda _: closed.append(lock.file.closed))
    monkeypatch.setattr(locks.sys, "platform", platform)
    lock.release()
    assert closed == [platform == "win32"]  # elsewhere it is removed while nobody else can have it
    assert lock.file.closed


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
def test_a_drive_without_locks_is_told_and_keeps_nobody_out(tmp_path, monkeypatch):
    import fcntl

    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with sole_user(tmp_path) as real, sole_user(tmp_path) as too:
        assert not real
        assert not too


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match=r"is not a folder|cannot be written"), sole_user(folder):
            pass

    def read_only(*_args, **_named):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(locks.Path, "open", read_only)
    with pytest.raises(InputError, match=r"cannot be written \(Read-only file system\)"), sole_user(tmp_path / "run"):
        pass
