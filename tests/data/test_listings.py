"""Folders, zips and tars, good and bad; nothing here is extracted."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dcgan.config import Config
from dcgan.data import decode as decoding
from dcgan.data import listings
from dcgan.data.decode import BadImage
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from dcgan.run import Run
from tests.data.samples import png, values, write_folder, write_tar, write_zip


def written(kind, tmp_path, names):
    if kind == "folder":
        return write_folder(tmp_path / "pics", names)
    return {"zip": write_zip, "tar": write_tar}[kind](tmp_path / f"pics.{kind}", names)


KINDS = pytest.mark.parametrize("kind", ["folder", "zip", "tar"])


@KINDS
def test_class_folders_become_labels(kind, tmp_path):
    source = find_source(written(kind, tmp_path, ["dog/b.png", "cat/a.PNG", "dog/deep/c.png"]))
    assert source.class_names == ("cat", "dog")
    assert {item.name: item.label for item in source.items()} == {
        **{"cat/a.PNG": 0, "dog/b.png": 1, "dog/deep/c.png": 1}
    }
    assert values(source) == {"dog/b.png": 0, "cat/a.PNG": 1, "dog/deep/c.png": 2}
    assert len(source) == 3
    assert source.name == "pics"
    assert source.description.startswith(f"{kind} ")
    assert source.description.endswith("3 images in 2 classes")
    assert source.sequential == (kind == "tar")


@KINDS
@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["all/train/x/1.png", "all/train/y/2.png"], ("x", "y")),
        (["only/1.png", "only/2.png"], ()),
        (["1.png", "2.png"], ()),
        (["x/1.png", "y/2.png", "3.png"], ()),
        (["top/x/1.png", "top/y/2.png", "top/3.png"], ()),
        (["top/x/1.png"], ()),
    ],
)
def test_common_folders_are_stripped(kind, names, classes, tmp_path):
    source = find_source(written(kind, tmp_path, names))
    assert source.class_names == classes
    if not classes:
        assert {item.label for item in source.items()} == {-1}


@KINDS
def test_hidden_files_are_left_out(kind, tmp_path):
    names = ["a.png", ".b.png", "._a.png", "__MACOSX/c.png", ".thumbs/d.png", "Thumbs.db", "notes.txt"]
    source = find_source(written(kind, tmp_path, names))
    assert [item.name for item in source.items()] == ["a.png"]


@KINDS
def test_all_suffixes_of_jpeg(kind, tmp_path):
    assert len(find_source(written(kind, tmp_path, ["a.jpg", "b.jpeg", "c.jpe", "d.JFIF", "e.heic"]))) == 4


@KINDS
def test_pictures_that_are_not_read_are_told_of(kind, tmp_path):
    path = written(kind, tmp_path, ["a.png", "b.HEIC", "c/d.heic", "e.avif", ".f.heic", "notes.txt"])
    assert find_source(path).description.endswith(": 1 image (left out, as no such file is read: 2 .heic, 1 .avif)")


@KINDS
def test_no_image_says_what_was_found(kind, tmp_path):
    path = written(kind, tmp_path, ["a.txt", "b.csv", "c/LICENSE"])
    with pytest.raises(InputError, match=r"3 files, none of them an image: \.txt, \.csv, no extension.*\.jpg \.jpeg"):
        find_source(path)


@KINDS
def test_empty(kind, tmp_path):
    path = written(kind, tmp_path, [])
    if kind == "folder":
        path.mkdir()
    with pytest.raises(InputError, match="holds no file"):
        find_source(path)


@KINDS
def test_fingerprint_follows_the_content(kind, tmp_path):
    path = written(kind, tmp_path, ["a/1.png", "b/2.png"])
    first = find_source(path).fingerprint()
    assert find_source(path).fingerprint() == first
    assert len(first) == 64
    if kind == "folder":
        os.utime(path / "a/1.png", (1, 1))
    else:
        written(kind, tmp_path, ["a/1.png", "c/2.png"])
    assert find_source(path).fingerprint() != first


def test_fingerprint_of_a_folder_has_no_permissions_but_what_can_be_read(tmp_path, monkeypatch):
    source = find_source(write_folder(tmp_path, ["1.png", "2.png"]))
    first = source.fingerprint()
    (tmp_path / "1.png").chmod(0o600)
    assert source.fingerprint() == first
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "1.png")
    assert source.fingerprint() != first


def test_fingerprint_survives_a_vanished_file(tmp_path):
    source = find_source(write_folder(tmp_path, ["1.png", "2.png"]))
    first = source.fingerprint()
    (tmp_path / "2.png").unlink()
    assert source.fingerprint() != first
    with pytest.raises(FileNotFoundError):
        list(source.items())[1].load()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_climb_are_only_names(kind, tmp_path):
    write = {"zip": write_zip, "tar": write_tar}[kind]
    (tmp_path / "in").mkdir()
    path = write(tmp_path / "in" / f"x.{kind}", ["../../evil/a.png", "/abs/b.png", "./c/d.png", "..\\w\\e.png"])
    source = find_source(path)
    assert source.class_names == ("abs", "c", "evil", "w")
    assert len(values(source)) == 4
    assert {p.name for p in tmp_path.rglob("*")} == {"in", f"x.{kind}"}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_tar_compressions(suffix, tmp_path):
    mode = {"tar": "w", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}.get(suffix, "w:gz")
    source = find_source(write_tar(tmp_path / f"My Pics.{suffix}", ["a.png", "b.png"], mode))
    assert values(source) == {"a.png": 0, "b.png": 1}
    assert source.name == "my-pics"


def test_tar_links_and_devices_are_left_out(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        kinds = {"s.png": tarfile.SYMTYPE, "h.png": tarfile.LNKTYPE, "f.png": tarfile.FIFOTYPE}
        for name, kind in kinds.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
        member = tarfile.TarInfo("ok.png")
        member.size = len(png(7))
        archive.addfile(member, io.BytesIO(png(7)))
    assert values(find_source(path)) == {"ok.png": 7}


def test_tar_and_zip_members_twice_count_once(tmp_path):
    assert len(list(find_source(write_tar(tmp_path / "x.tar", ["a.png", "a.png"])).items())) == 1
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = write_zip(tmp_path / "x.zip", ["a.png", "a.png"])
    assert len(list(find_source(path).items())) == 1


def test_of_members_of_one_name_the_last_counts(tmp_path):
    path = write_tar(tmp_path / "x.tar", ["a.png", "b.png", "a.png"])
    assert list(values(find_source(path)).items()) == [("b.png", 1), ("a.png", 2)]


def test_other_bytes_of_the_same_size_and_time_are_another_tar(tmp_path):
    path = write_tar(tmp_path / "x.tar", ["a.png", "b.png"])
    first = find_source(path).fingerprint()
    content = path.read_bytes()
    path.write_bytes(content.replace(png(1), png(1)[:-1] + b"!"))
    assert path.stat().st_size == len(content)
    assert find_source(path).fingerprint() != first


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_over_the_limit(kind, tmp_path, monkeypatch):
    path = tmp_path / f"bomb.{kind}"
    big = bytes(3 * 2**20)
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("big.png", big)
        assert path.stat().st_size < 10_000
    else:
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo("big.png")
            member.size = len(big)
            archive.addfile(member, io.BytesIO(big))
    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", 2**20)
    (item,) = find_source(path).items()
    assert item.weight == 0
    with pytest.raises(BadImage, match="larger than 1 MiB"):
        item.load()


def test_zip_that_lies_about_its_sizes(tmp_path):
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(2**20))
    lie = path.read_bytes().replace((2**20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    path.write_bytes(lie)
    (item,) = find_source(path).items()
    with pytest.raises(BadImage):
        item.load()


def test_encrypted_and_damaged_zip_members(tmp_path):
    path = write_zip(tmp_path / "x.zip", ["a.png"])
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    (item,) = find_source(path).items()
    with pytest.raises(BadImage, match="encrypted"):
        item.load()
    content = bytearray(write_zip(path, ["a.png"]).read_bytes())
    content[50] ^= 255
    path.write_bytes(content)
    (item,) = find_source(path).items()
    with pytest.raises(BadImage, match="CRC"):
        item.load()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_truncated_tar(mode, tmp_path):
    path = tmp_path / "x.tar"
    rng = np.random.default_rng(0)
    with tarfile.open(path, mode) as archive:
        for i in range(4):
            member = tarfile.TarInfo(f"{i}.png")
            member.size = 40_000
            archive.addfile(member, io.BytesIO(rng.bytes(40_000)))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match="cannot read"):
        find_source(path)


def test_truncated_zip(tmp_path):
    path = write_zip(tmp_path / "x.zip", [f"{i}.png" for i in range(20)])
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match="cannot read"):
        find_source(path)


def test_link_loops_and_aliases(tmp_path):
    write_folder(tmp_path, ["real/a.png", "real/deep/b.png"])
    try:
        (tmp_path / "real/deep/up").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "alias").symlink_to(tmp_path / "real", target_is_directory=True)
        (tmp_path / "self").symlink_to("self")
        (tmp_path / "gone.png").symlink_to("nowhere.png")
        (tmp_path / "me.png").symlink_to("me.png")
    except OSError:
        pytest.skip("no links here")
    items = {item.name: item for item in find_source(tmp_path).items()}
    assert list(items) == ["gone.png", "me.png", "real/a.png", "real/deep/b.png"]
    for name in ("gone.png", "me.png"):
        with pytest.raises(OSError, match=f"{name}"):
            items[name].load()


def test_links_to_folders_are_followed(tmp_path):
    write_folder(tmp_path / "elsewhere", ["a.png"])
    (tmp_path / "data").mkdir()
    try:
        (tmp_path / "data/linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert values(find_source(tmp_path / "data")) == {"linked/a.png": 0}


def test_runs_and_reports_among_the_pictures_are_none(tmp_path):
    pictures = write_folder(tmp_path, ["cat/1.png", "cat/samples/2.png", "dog/3.png"])
    (pictures / "dog" / "config.yaml").touch()  # alone makes no run
    before = find_source(pictures)
    write_folder(pictures, ["runs/one/samples/0.png", "runs/one/grid.png", "found/page-01.png"])
    Run.create(pictures / "runs" / "two", Config(), {})
    for name in ("runs/one/config.yaml", "runs/one/data.json", "found/groups.json", "found/duplicates.txt"):
        (pictures / name).touch()
    after = find_source(pictures)
    assert [item.name for item in after.items()] == [item.name for item in before.items()]
    assert after.class_names == ("cat", "dog")
    assert after.fingerprint() == before.fingerprint()
    assert len(find_source(pictures / "runs" / "one")) == 2  # named itself it is data


def test_unreadable_folders(tmp_path, monkeypatch):
    write_folder(tmp_path, ["a/1.png", "locked/2.png"])
    real = os.scandir

    def scandir(folder):
        if str(folder).endswith(("locked", "top")):
            raise PermissionError(13, "Permission denied", folder)
        return real(folder)

    monkeypatch.setattr(listings.os, "scandir", scandir)
    source = find_source(tmp_path)
    good, locked = source.items()
    assert (good.name, locked.name) == ("a/1.png", "locked/")
    assert source.class_names == ("a", "locked")
    with pytest.raises((BadImage, OSError)):
        locked.load()
    (tmp_path / "top").mkdir()
    with pytest.raises(InputError, match=r"cannot read .*top: Permission denied"):
        find_source(tmp_path / "top")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX")
def test_pipes_are_no_pictures(tmp_path):
    write_folder(tmp_path, ["a.png"])
    os.mkfifo(tmp_path / "b.png")
    assert len(find_source(tmp_path)) == 1


def test_order_is_sorted(tmp_path):
    source = find_source(write_folder(tmp_path, ["b/2.png", "a.png", "b/10.png", "b.png"]))
    assert [item.name for item in source.items()] == ["a.png", "b.png", "b/10.png", "b/2.png"]


DATA = os.environ.get("DCGAN_DATA", "")


@pytest.mark.data
@pytest.mark.skipif(not (Path(DATA) / "smiles64").is_dir(), reason="DCGAN_DATA/smiles64 is not there")
def test_real_zip():
    source = find_source(Path(DATA) / "smiles64/smiles64.zip")
    assert len(source) == 13165
    assert source.class_names == ("neutral", "smiling")
