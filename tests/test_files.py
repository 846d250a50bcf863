"""Files stay whole when writing fails; damaged files and pickles are refused."""

import os
import pickle
import struct
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from dcgan.errors import InputError
from dcgan.files import append_lines, read_tensors, require_new, whole, write_atomically, write_tensors


def fail(*_):
    raise OSError("no space left")


@pytest.fixture
def tensors():
    return {
        "a": torch.arange(6.0).reshape(2, 3),
        "b": torch.tensor([1, 2**62]),
        "c": torch.randn(3, dtype=torch.float64),
        "scalar": torch.tensor(1.5),
        "empty": torch.empty(0, 4),
    }


@pytest.fixture
def file(tmp_path, tensors):
    path = tmp_path / "x.safetensors"
    write_tensors(path, tensors, {"text": "größe", "other": ""})
    return path


def test_write_makes_and_replaces(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch, function):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    path, events = tmp_path / "a.bin", []
    write_atomically(path, b"old")

    def fsync(descriptor, real=os.fsync):
        events.append(path.read_bytes())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(path, b"new")
    assert events[0] == b"old"  # the file's own fsync comes before the rename


def test_an_interrupt_leaves_the_old_content(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_tensors_come_back_exactly(file, tensors):
    back, metadata = read_tensors(file)
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor), name
    assert metadata == {"text": "größe", "other": ""}


def test_memory_layout_gradients_and_sharing_do_not_matter(tmp_path):
    images = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    write_tensors(tmp_path / "x", {"images": images, "part": images[:1]}, {})
    back, metadata = read_tensors(tmp_path / "x")
    assert torch.equal(back["images"], images)
    assert torch.equal(back["part"], images[:1])
    assert metadata == {}


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_files_are_refused_as_pickles(tmp_path, tensors, legacy):
    path = tmp_path / "x.pt"
    torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match="pickle"):
        read_tensors(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_refused(tmp_path, protocol):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"weight": [1.0, 2.0]}, protocol))
    with pytest.raises(InputError, match="pickle"):
        read_tensors(path)


def test_a_header_length_that_looks_like_a_pickle_is_none(tmp_path, tensors):
    for padding in range(300):
        content = save(tensors, {"padding": "x" * padding})
        if content[0] == 0x80:
            break
    assert struct.unpack("<Q", content[:8])[0] % 256 == 0x80
    (tmp_path / "x").write_bytes(content)
    assert set(read_tensors(tmp_path / "x")[0]) == set(tensors)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\x00" * 64, b"\xff" * 64, b"GIF89a" + b"\x00" * 20, struct.pack("<Q", 2) + b"[]"],
)
def test_what_is_no_safetensors_file(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        read_tensors(tmp_path / "x")


def test_every_truncation_is_noticed(file, tmp_path):
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match="damaged"):
            read_tensors(file)


def test_a_damaged_header_is_refused_or_harmless(file):
    content = file.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    refused = 0
    for position in range(end):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            file.write_bytes(damaged)
            try:
                read_tensors(file)
            except InputError:
                refused += 1
    assert refused > end * 4  # flips inside names and texts remain readable


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_tensors(path)


def test_lines_are_added_whole(tmp_path, monkeypatch):
    path, synced = tmp_path / "log", list[int]()
    monkeypatch.setattr(os, "fsync", synced.append)
    append_lines(path, "one\n")
    assert synced == []
    append_lines(path, "two\nthree\n", lasting=True)
    assert len(synced) == 1
    with path.open("a") as file:
        file.write("cut sho")
    append_lines(path, "four\n")
    assert path.read_text() == "one\ntwo\nthree\ncut sho\nfour\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_line_on_a_full_disk():
    with pytest.raises(OSError, match="No space left"):
        append_lines(Path("/dev/full"), "x\n")


# ---- whole


def make(path, kind, content="new"):
    """A file, or a folder with a file in it."""
    if kind == "folder":
        path.mkdir()
    (path / "x" if kind == "folder" else path).write_text(content)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_made_appears_at_the_end(tmp_path, kind):
    with whole(tmp_path / "a.b") as partial:
        make(partial, kind)
        assert not (tmp_path / "a.b").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.b"]
    assert (tmp_path / "a.b").is_dir() == (kind == "folder")


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_is_not_finished_goes(tmp_path, kind, error):
    def interrupted():
        with whole(tmp_path / "a") as partial:
            make(partial, kind)
            raise error

    with pytest.raises(error):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_there_meanwhile_stays(tmp_path, kind):
    def late():
        with whole(tmp_path / "a") as partial:
            make(partial, kind)
            make(tmp_path / "a", "file", "mine")

    with pytest.raises(FileExistsError):
        late()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "mine"


def test_what_was_left_long_ago_goes_and_what_is_not_ours_stays(tmp_path):
    days = {
        "a.01234567.partial": 2,
        "b.89abcdef.partial": 0,
        "download.partial": 2,
        "poetry.lock": 2,
        "c.0123.partial": 2,
    }
    for name, age in days.items():
        make(tmp_path / name, "file")
        os.utime(tmp_path / name, (time.time() - age * 86_400,) * 2)
    with whole(tmp_path / "key") as partial:
        make(partial, "file")
    assert {path.name for path in tmp_path.iterdir()} == {*days, "key"} - {"a.01234567.partial"}


def test_tensors_that_were_read_are_no_view_of_the_file(tmp_path, file, tensors):
    read, _ = read_tensors(file)
    content = bytearray(file.read_bytes())
    content[-200:] = b"\xff" * 200
    file.write_bytes(content)  # written over in place, as `cp` does
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("mine")
    require_new(tmp_path / "y.png", None)
    with pytest.raises(InputError, match=r"x.png: exists already; name another$"):
        require_new(tmp_path / "y.png", tmp_path / "x.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"gone.png: exists already; name another --out$"):
        require_new(tmp_path / "gone.png", option="--out")
    with pytest.raises(InputError, match="there is no folder"):
        require_new(tmp_path / "none" / "y.png")
    require_new(tmp_path / "none" / "y.png", folders=False)
    with pytest.raises(InputError, match=r"y.png: is named twice"):
        require_new(tmp_path / "y.png", None, tmp_path / "." / "y.png")
    for one, other in (("new", "new/sub/model.onnx"), ("new/model.onnx", "new")):
        with pytest.raises(InputError, match=r"would lie in another; name a place apart"):
            require_new(tmp_path / one, tmp_path / other, folders=False)
    require_new(tmp_path / "new", tmp_path / "newer" / "model.onnx", folders=False)
    with pytest.raises(InputError, match=r"x.png: cannot be written \(File name too long\)"):
        require_new(tmp_path / ("x" * 300 + "x.png"))
