"""What packing and downloading survive: drives that fail, decoders that crash, processes that die half way."""

import contextlib
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import dcgan
from dcgan.data import crashes, download, listings, patience
from dcgan.data import pack as packing
from dcgan.data.pack import pack
from dcgan.data.patience import DataLost, patiently
from dcgan.data.sources import find_source
from dcgan.files import scratch

GONE = OSError(errno.ESTALE, "Stale file handle")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def waits(monkeypatch):
    """The waits asked for; nothing waits."""
    asked: list[float] = []
    monkeypatch.setattr(patience, "time", SimpleNamespace(sleep=asked.append))
    return asked


def failing(real, times, error, match="03.png"):
    """`real`, but that it fails so often where a path that ends so is concerned."""
    left = [times]

    def function(path, *args, **named):
        if str(path).endswith(match) and left[0] > 0:
            left[0] -= 1
            raise error
        return real(path, *args, **named)

    return function


# ---- drives


@pytest.mark.parametrize("workers", [None, 2])  # None: the first look at the headers meets it
def test_an_outage_while_packing_is_waited_for_and_skips_nothing(photos, monkeypatch, waits, workers):
    whole = np.array(pack(find_source(photos), (16, 16), 3).images)
    shutil.rmtree(Path(os.environ["DCGAN_CACHE"]))
    monkeypatch.setattr(Path, "stat", failing(Path.stat, 3, GONE))
    packed = pack(find_source(photos), (16, 16), 3, workers=workers)
    assert np.array_equal(packed.images, whole)
    assert packed.skipped == ()
    assert waits == [0.5, 1, 2]


@pytest.mark.parametrize("error", [GONE, OSError(errno.EIO, "Input/output error")])
def test_a_drive_that_stays_away_ends_the_packing_and_leaves_no_half_pack(photos, cache, monkeypatch, waits, error):
    source = find_source(photos)
    monkeypatch.setattr(Path, "stat", failing(Path.stat, 10**9, error))
    with pytest.raises(DataLost, match=rf"03.png: cannot be read any more \({error.strerror}\), tried 7 times"):
        pack(source, (16, 16), 3, workers=2)
    with pytest.raises(DataLost, match=r"03\.png"):
        packing.inspect(source)
    assert list((cache / "packs").iterdir()) == []


def test_a_file_that_was_listed_and_is_gone_is_no_broken_picture(photos, tmp_path, waits):
    """A drive unplugged shows so, and up to a tenth of the images would be left out without a word."""
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    source = find_source(folder)
    (folder / "dark" / "19.png").unlink()
    with pytest.raises(DataLost, match="No such file"):
        pack(source, (16, 16), 3)
    assert len(pack(find_source(folder), (16, 16), 3).images) == 39


def test_a_link_to_nothing_is_a_broken_picture(photos, tmp_path, waits):
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    (folder / "dark" / "link.png").symlink_to("nowhere.png")
    packed = pack(find_source(folder), (16, 16), 3)
    assert [name for name, _ in packed.skipped] == ["dark/link.png"]
    assert waits == []


def test_pixels_that_the_drive_does_not_give_are_no_broken_picture(photos, monkeypatch, waits):
    class Disk(io.BytesIO):
        def read(self, *args):
            if self.tell() > 40:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(*args)

    content = (photos / "dark" / "00.png").read_bytes()
    with pytest.raises(OSError, match="Input/output"):
        packing.decode(Image.open(Disk(content)), (16, 16), 3)


def test_zips_and_tars_on_a_drive_that_is_gone(photos, tmp_path, monkeypatch, waits):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive, tarfile.open(tmp_path / "all.tar", "w") as tar:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path, path.relative_to(photos))
            tar.add(path, path.relative_to(photos))
    sources = [find_source(tmp_path / name) for name in ("all.zip", "all.tar")]

    def stale(*_args, **_named):
        raise GONE

    monkeypatch.setattr(zipfile.ZipExtFile, "read", stale)
    monkeypatch.setattr(listings, "open_stream", lambda _path: contextlib.nullcontext(SimpleNamespace(read=stale)))
    for source in sources:
        with pytest.raises(DataLost, match="Stale file handle"):
            pack(source, (16, 16), 3)


def test_only_what_may_pass_is_tried_again(waits):
    def forbidden():
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        patiently(forbidden, "x")
    assert waits == []


def test_rows_by_file_are_those_of_the_map(photos):
    packed = pack(find_source(photos), (16, 16), 3)
    rows = np.array([0, 3, 39])
    by_file = patience.rows_of(packed.images)
    assert isinstance(by_file, patience.FileRows)
    assert np.array_equal(by_file[rows], packed.images[rows])
    assert by_file[rows].dtype == np.uint8
    part, array = packed.images[2:], np.array(packed.images)
    assert patience.rows_of(part) is part
    assert patience.rows_of(array) is array


def test_a_pack_that_was_cut_short_is_an_error_not_a_crash(photos, waits):
    packed = pack(find_source(photos), (16, 16), 3)
    os.truncate(packed.path / "images.bin", 16 * 16 * 3 * 20)
    rows = patience.rows_of(packed.images)
    assert len(rows[np.arange(20)]) == 20
    with pytest.raises(DataLost, match="it has become shorter"):
        rows[np.array([5, 30])]


# ---- crashes


CRASHING = """
import os, signal, sys
from pathlib import Path
from dcgan.data import pack as packing
from dcgan.data.sources import find_source

real = packing.decode

def decode(image, *args):
    if (image.width, image.height) == (66, 66):
        {how}
    return real(image, *args)

packing.decode = decode
if "short" in sys.argv:
    from dcgan.data import crashes
    crashes.HANGS = 0.3
packed = packing.pack(find_source(Path(sys.argv[1])), (16, 16), 3, workers=3)
print(len(packed.images), packed.skipped)
"""


SEGFAULT = "import ctypes; ctypes.string_at(0)"  # a signal sent to oneself would come a moment late


def packing_with(how, folder, *more):
    environment = os.environ | {"PYTHONPATH": str(Path(dcgan.__file__).parents[1])}
    command = [sys.executable, "-c", CRASHING.format(how=how), str(folder), *more]
    return subprocess.run(command, env=environment, text=True, capture_output=True, timeout=60)


@pytest.fixture
def with_a_deadly_one(photos, tmp_path):
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    Image.new("RGB", (66, 66)).save(folder / "dark" / "07b.png")
    return folder


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_picture_that_crashes_the_decoder_is_skipped_the_second_time(with_a_deadly_one, cache):
    first = packing_with(SEGFAULT, with_a_deadly_one)
    assert first.returncode == -signal.SIGSEGV
    assert list((cache / "packs").glob("*.partial"))
    second = packing_with(SEGFAULT, with_a_deadly_one)
    assert second.returncode == 0, second.stderr
    assert second.stdout == "40 (('dark/07b.png', 'its decoder crashes (SIGSEGV)'),)\n"
    (packed,) = (cache / "packs").iterdir()  # and nothing is left of the first
    assert not (packed / crashes.NAME).exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_picture_that_hangs_the_decoder_is_skipped_once_it_was_killed(with_a_deadly_one):
    how = "import time; os.kill(os.getpid(), signal.SIGKILL) if 'first' in sys.argv else time.sleep(60)"
    assert packing_with(how, with_a_deadly_one, "first").returncode == -signal.SIGKILL
    second = packing_with(how, with_a_deadly_one, "short")
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith("40 (('dark/07b.png', 'its decoder takes over")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_pictures_that_a_kill_met_are_innocent(with_a_deadly_one):
    how = "os.kill(os.getpid(), signal.SIGKILL) if 'first' in sys.argv else None"
    assert packing_with(how, with_a_deadly_one, "first").returncode == -signal.SIGKILL
    assert packing_with(how, with_a_deadly_one).stdout == "41 ()\n"


# ---- what the dead leave, and the living keep


def test_what_a_killed_process_was_writing_is_removed_by_the_next(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from dcgan.files import scratch\n"
        "with scratch(Path(sys.argv[1])) as folder:\n"
        "    folder.mkdir(); (folder / 'x').touch(); print(folder, flush=True); sys.stdin.read()"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(dcgan.__file__).parents[1])}
    command = [sys.executable, "-c", script, str(tmp_path / "key")]
    other = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout
    theirs = Path(other.stdout.readline().strip())
    with scratch(tmp_path / "key") as mine:
        assert mine != theirs
        assert (theirs / "x").exists()  # it lives
    other.kill()
    other.communicate()
    with scratch(tmp_path / "key") as mine:
        mine.mkdir()
        assert [path.suffix for path in tmp_path.iterdir() if path.is_dir()] == [".partial"]
        assert not theirs.exists()
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_nothing_to_be_taken_for_whole(tmp_path, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")
    interrupt: list[type[BaseException] | BaseException | None] = [
        KeyboardInterrupt,
        OSError("the network is gone"),
        None,
    ]

    def mnist(root, **_named):
        raw = Path(root) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        (raw / "train-images-idx3-ubyte").write_bytes(b"half" if interrupt[0] else b"whole")
        if error := interrupt.pop(0):
            raise error
        (raw / "train-labels-idx1-ubyte").write_bytes(b"whole")

    monkeypatch.setattr(datasets, "MNIST", mnist)
    root = tmp_path / "root"
    for _ in range(2):
        with pytest.raises((KeyboardInterrupt, OSError)):
            download.fetch("mnist", root, "train")
        assert list(root.iterdir()) == []
    (root / "MNIST" / "raw").mkdir(parents=True)
    (root / "MNIST" / "raw" / "mine").touch()
    download.fetch("mnist", root, "train")
    assert {path.name for path in root.rglob("*") if path.is_file()} == {
        "mine",
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
    }
    assert (root / "MNIST" / "raw" / "train-images-idx3-ubyte").read_bytes() == b"whole"
