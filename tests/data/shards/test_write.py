from __future__ import annotations

import hashlib
import json
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.data.pack import pack
from dcgan.data.shards import write
from dcgan.data.shards.write import Sharding, write_shards
from dcgan.data.sources import find_source
from dcgan.errors import InputError


def members(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                assert stream is not None
                assert member.name not in found
                found[member.name] = stream.read()
    return found


def test_every_picture_keeps_its_bytes_and_its_class(album: Path, shards: Path) -> None:
    found = members(shards)
    files = sorted(path for path in album.rglob("*.*") if path.is_file())
    assert len(found) == 2 * len(files)
    for number, path in enumerate(files):
        assert found[f"{number:09d}{path.suffix}"] == path.read_bytes()
        assert found[f"{number:09d}.cls"].decode() == str(["bright", "dark"].index(path.parent.name))


def test_dataset_json_says_what_is_there(shards: Path) -> None:
    facts = json.loads((shards / "dataset.json").read_text())
    assert facts["images"] == 203
    assert facts["class_names"] == ["bright", "dark"]
    assert [entry["images"] for entry in facts["shards"]] == [11] * 18 + [5]
    for entry in facts["shards"]:
        content = (shards / entry["name"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_webdataset_reads_the_same(shards: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(webdataset.WebDataset([str(path) for path in sorted(shards.glob("*.tar"))], shardshuffle=False))
    read = {f"{s['__key__']}.{kind}": s[kind] for s in samples for kind in ("png", "jpg", "cls") if kind in s}
    assert read == members(shards)


def test_the_same_source_gives_the_same_bytes(album: Path, shards: Path, tmp_path: Path) -> None:
    write_shards(find_source(album), tmp_path / "again", Sharding(images=11))
    assert [(path.name, path.read_bytes()) for path in sorted((tmp_path / "again").iterdir())] == [
        (path.name, path.read_bytes()) for path in sorted(shards.iterdir())
    ]


def test_shards_are_shuffled_unless_told_otherwise(album: Path, shards: Path, tmp_path: Path) -> None:
    pictures = [name for name in members(shards) if not name.endswith(".cls")]
    assert pictures != sorted(pictures)
    write_shards(find_source(album), tmp_path / "plain", Sharding(shuffle=False))
    names = list(members(tmp_path / "plain"))
    assert names == sorted(names, key=lambda name: name.split(".")[0])


def test_megabytes_bound_a_shard(album: Path, tmp_path: Path) -> None:
    written = write_shards(find_source(album), tmp_path / "small", Sharding(megabytes=0.03))
    assert len(written.shards) > 5
    # The last picture of a shard goes beyond; then come its .cls and the end of the tar, of at most 10 KB.
    assert max(path.stat().st_size for path in (tmp_path / "small").glob("*.tar")) < 30_000 + 2 * 2048 + 10_240


def test_resized_pictures_are_those_of_the_pack(album: Path, tmp_path: Path) -> None:
    source = find_source(album)
    write_shards(source, tmp_path / "tiny", Sharding(size=(8, 12), channels=1))
    packed = pack(source, (8, 12), 1)
    again = pack(find_source(tmp_path / "tiny"), (8, 12), 1)
    assert np.array_equal(packed.images, again.images)


def test_broken_pictures_are_left_out_and_listed(album: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    for i, path in enumerate(sorted(album.rglob("*.png"))[:20]):
        (folder / f"{i:02d}.png").write_bytes(path.read_bytes() if i != 7 else b"no picture")
    written = write_shards(find_source(folder), tmp_path / "out", Sharding())
    assert written.images == 19
    assert [name for name, _ in written.skipped] == ["07.png"]
    with pytest.raises(InputError, match="1 of 20 pictures cannot be used"):
        write_shards(find_source(folder), tmp_path / "none", Sharding(max_skipped=0.01))
    assert not (tmp_path / "none").exists()


def test_an_interruption_leaves_nothing(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(find_source(album), tmp_path / "out", Sharding(images=50), interrupted)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_written_over(album: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in (".", "link"):
        with pytest.raises(InputError, match="exists already"):
            write_shards(find_source(album), tmp_path / name, Sharding())


def test_a_full_disk_leaves_nothing(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "sync", full)
    with pytest.raises(InputError, match="the disk is full"):
        write_shards(find_source(album), tmp_path / "out", Sharding())
    assert list(tmp_path.iterdir()) == []


def test_arrays_become_pngs(tmp_path: Path) -> None:
    digits = find_source("digits")
    write_shards(digits, tmp_path / "digits", Sharding())
    first = members(tmp_path / "digits")["000000000.png"]
    (tmp_path / "first.png").write_bytes(first)
    with Image.open(tmp_path / "first.png") as image:
        assert np.array_equal(np.asarray(image), digits.images[0])  # type: ignore[attr-defined]
