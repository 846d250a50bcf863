"""Packing when something is wrong: broken pictures, damaged caches, full disks, interruptions, two at once."""

import errno
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcgan.data import pack as packing
from dcgan.data.pack import pack
from dcgan.errors import InputError
from tests.data.samples import encoded, find, noise, write_pictures


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def spoil(root):
    (root / "a/text.png").write_text("I am text")
    (root / "a/zero.jpg").touch()
    whole = encoded(noise(40, 40, 3), "JPEG")
    (root / "b/cut.jpg").write_bytes(whole[: len(whole) // 2])


def test_broken_pictures_are_skipped_and_listed(tmp_path):
    pixels = write_pictures(tmp_path / "pics", 30)
    spoil(tmp_path / "pics")
    source = find(tmp_path / "pics")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result: Any = pack(source, (8, 8), 3)
    assert np.array_equal(result.images, pixels)
    assert len(result.labels) == 30
    reasons = dict(result.skipped)
    assert list(reasons) == ["a/text.png", "a/zero.jpg", "b/cut.jpg"]
    assert "not a picture" in reasons["a/text.png"]
    assert reasons["a/zero.jpg"] == "empty file"
    assert "truncated" in reasons["b/cut.jpg"]
    assert pack(source, (8, 8), 3).skipped == result.skipped
    with pytest.raises(InputError, match="--max-skipped"):  # the stricter limit holds for a found pack as well
        pack(source, (8, 8), 3, max_skipped=0.05)


def test_too_many_broken_pictures(tmp_path, cache):
    write_pictures(tmp_path / "pics", 7)
    spoil(tmp_path / "pics")
    source = find(tmp_path / "pics")
    with pytest.raises(InputError, match=r"3 of 10 pictures cannot be used \(30%.*--max-skipped") as caught:
        pack(source, (8, 8), 3)
    assert "a/zero.jpg: empty file" in str(caught.value)
    assert list((cache / "packs").iterdir()) == []
    assert len(pack(source, (8, 8), 3, max_skipped=0.3).images) == 7


def test_all_broken(tmp_path):
    (tmp_path / "pics").mkdir()
    for i in range(9):
        (tmp_path / f"pics/{i}.png").touch()
    with pytest.raises(InputError, match="9 of 9") as caught:
        pack(find(tmp_path / "pics"), (8, 8), 3, max_skipped=1.0)
    assert str(caught.value).count("empty file") == 5
    assert "--max-skipped" not in str(caught.value)


def test_unreadable_file_is_skipped_with_its_reason(tmp_path, monkeypatch):
    write_pictures(tmp_path / "pics", 20)
    real = Path.stat

    def stat(path, **options):
        if path.name == "003.png":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    result: Any = pack(find(tmp_path / "pics"), (8, 8), 3)
    assert result.skipped == (("b/003.png", "Permission denied"),)


def test_unwritable_cache(tmp_path):
    write_pictures(tmp_path / "pics", 2)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write the cache .*set DCGAN_CACHE"):
        pack(find(tmp_path / "pics"), (8, 8), 3, cache=tmp_path / "file")


@pytest.mark.parametrize("where", ["mkdir", "fsync"])
def test_full_disk(tmp_path, cache, monkeypatch, where):
    write_pictures(tmp_path / "pics", 2)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, where, full)
    with pytest.raises(InputError, match=r"^the disk is full: packing needs more room below .*DCGAN_CACHE"):
        pack(find(tmp_path / "pics"), (8, 8), 3)
    monkeypatch.undo()
    assert not (cache / "packs").exists() or list((cache / "packs").iterdir()) == []


def test_other_disk_errors_pass_through_and_leave_nothing(tmp_path, cache, monkeypatch):
    write_pictures(tmp_path / "pics", 2)

    def broken(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="Input/output"):
        pack(find(tmp_path / "pics"), (8, 8), 3)
    assert list((cache / "packs").iterdir()) == []


def test_interruption_leaves_nothing_and_stops_the_threads(tmp_path, cache):
    write_pictures(tmp_path / "pics", 200)
    before = threading.active_count()

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(find(tmp_path / "pics"), (8, 8), 3, workers=3, progress=interrupt)
    assert list((cache / "packs").iterdir()) == []
    assert threading.active_count() == before
    assert pack(find(tmp_path / "pics"), (8, 8), 3).fresh


def test_stopped_thread_ends_with_the_picture_it_is_at(tmp_path):
    write_pictures(tmp_path / "pics", 5)
    stop = threading.Event()
    stop.set()
    items = list(find(tmp_path / "pics").items())
    assert len(packing._decode_chunk(items, (8, 8, 3), "lanczos", stop).images) == 0


def test_two_at_once_both_succeed(tmp_path):
    pixels = write_pictures(tmp_path / "pics", 40)
    results = []
    barrier = threading.Barrier(2)

    def wait(done, total):
        if done == total:
            barrier.wait(10)  # both have packed everything before either moves its folder

    def one():
        results.append(pack(find(tmp_path / "pics"), (8, 8), 3, progress=wait))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert all(np.array_equal(result.images, pixels) for result in results)
    assert len(list(results[0].path.parent.iterdir())) == 1


def test_cache_that_vanishes_at_once(tmp_path, monkeypatch):
    write_pictures(tmp_path / "pics", 2)
    monkeypatch.setattr(packing, "open_pack", lambda folder, fresh: None)
    with pytest.raises(OSError, match="changed while it was written"):
        pack(find(tmp_path / "pics"), (8, 8), 3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "images.bin").write_bytes(b"short"),
        lambda folder: (folder / "images.bin").unlink(),
        lambda folder: (folder / "labels.bin").write_bytes(b"12345678"),
        lambda folder: (folder / "labels.bin").write_bytes(b"\xff" * 32),
        lambda folder: (folder / "labels.bin").unlink(),
        lambda folder: (folder / "pack.json").write_text("{"),
        lambda folder: (folder / "pack.json").write_text("[]"),
        lambda folder: (folder / "pack.json").write_bytes(b"\xff\xfe"),
        lambda folder: (folder / "pack.json").write_text('{"format": 1}'),
        lambda folder: (folder / "pack.json").unlink(),
    ],
)
def test_damaged_cache_is_rebuilt(tmp_path, damage):
    pixels = write_pictures(tmp_path / "pics", 4)
    first = pack(find(tmp_path / "pics"), (8, 8), 3)
    path = first.path
    del first
    damage(path)
    again = pack(find(tmp_path / "pics"), (8, 8), 3)
    assert again.fresh
    assert np.array_equal(again.images, pixels)
    assert sorted(p.name for p in path.iterdir()) == ["images.bin", "labels.bin", "pack.json"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
