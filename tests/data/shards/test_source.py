from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from dcgan.data.pack import pack
from dcgan.data.shards import index
from dcgan.data.shards import source as shard_sources
from dcgan.data.shards.index import LABEL, _classes
from dcgan.data.shards.source import ShardSource
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from tests.data.samples import png


def add(archive: tarfile.TarFile, name: str, content: bytes, **header: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in header.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(content))


def labelled(source: ShardSource) -> list[tuple[int, str]]:
    """First pixel and class of every picture, in order."""
    names = source.class_names
    return [
        (int(np.asarray(item.load())[0, 0]), names[item.label] if item.label >= 0 else "") for item in source.items()
    ]


@pytest.mark.parametrize("how", ["{}", "{}/*.tar", "{}/shard-{{000000..000018}}.tar"])
def test_packed_they_are_the_folder_they_came_from(album: Path, shards: Path, how: str) -> None:
    folder, tars = pack(find_source(album), (16, 16), 3), pack(find_source(how.format(shards)), (16, 16), 3)
    assert np.array_equal(folder.images, tars.images)
    assert np.array_equal(folder.labels, tars.labels)  # type: ignore[arg-type]
    assert folder.class_names == tars.class_names


def test_without_dataset_json_the_headers_say_the_same(shards: Path, tmp_path: Path) -> None:
    for path in shards.glob("*.tar"):
        shutil.copy(path, tmp_path)
    ours, found = find_source(str(shards)), find_source(f"{tmp_path}/*.tar")
    assert isinstance(ours, ShardSource)
    assert isinstance(found, ShardSource)
    assert np.array_equal(ours.index.table[:, :4], found.index.table[:, :4])  # all but the numbers
    assert found.class_names == ("0", "1")  # the names were in dataset.json
    again = find_source(f"{tmp_path}/*.tar")  # now from the cache
    assert again.fingerprint() == found.fingerprint()


def test_some_shards_of_a_set(shards: Path) -> None:
    whole, some = find_source(str(shards)), find_source(f"{shards}/shard-0000{{03,18}}.tar")
    assert isinstance(whole, ShardSource)
    assert isinstance(some, ShardSource)
    assert len(some) == 11 + 5
    rows = np.flatnonzero(np.isin(whole.index.table[:, 0], [3, 18])).tolist()
    assert list(some.read(range(16))) == list(whole.read(rows))
    assert some.fingerprint() != whole.fingerprint()


def test_classes_of_tars_made_by_others(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        add(archive, "cats/1.png", png(1))
        add(archive, "dogs/1.png", png(2))
    with tarfile.open(tmp_path / "1.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, f"cats/{'x' * 300}.PNG", png(3))
    source = find_source(f"{tmp_path}/*.tar")
    assert labelled(source) == [(1, "cats"), (2, "dogs"), (3, "cats")]  # type: ignore[arg-type]


def test_classes_of_cls_files_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name, label in (("a", "10"), ("b", "9")):
            add(archive, f"{name}.cls", label.encode())
            add(archive, f"{name}.png", png(int(label)))
    source = find_source(f"{tmp_path}/?.tar")
    assert source.class_names == ("9", "10")
    assert labelled(source) == [(10, "10"), (9, "9")]  # type: ignore[arg-type]


def test_a_class_of_its_own_for_every_picture_takes_no_long_time() -> None:
    tags = [("cls", f"name{i:06d}") for i in range(50_000)]
    began = time.process_time()
    labels, names = _classes(tags)
    assert time.process_time() - began < 2  # the square of their number would take half a minute
    assert (labels, len(names)) == (tuple(range(50_000)), 50_000)


def test_links_devices_and_pickles_are_left_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(99))
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        add(archive, "link.png", b"", type=tarfile.SYMTYPE, linkname=str(secret))
        add(archive, "hard.png", b"", type=tarfile.LNKTYPE, linkname="../secret.png")
        add(archive, "fifo.png", b"", type=tarfile.FIFOTYPE)
        add(archive, "evil.pkl", b"cos\nsystem\n(S'touch pwned'\ntR.")
        add(archive, "../../up.png", png(5))
    assert labelled(find_source(f"{tmp_path}/0.ta[r]")) == [(5, "")]  # type: ignore[arg-type]
    assert sorted(os.listdir(tmp_path)) == ["0.tar", "secret.png"]


def test_a_header_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "0.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(InputError, match="a header larger than 1 MiB"):
        find_source(f"{tmp_path}/*.tar")


@pytest.mark.parametrize("cut", [300, 1024 + 100, 3 * 512, -1024 - 512])
def test_a_cut_shard_is_named(tmp_path: Path, cut: int) -> None:
    with tarfile.open(tmp_path / "good.tar", "w") as archive:
        for i in range(5):
            add(archive, f"{i}.png", png(i))
        length = archive.offset + 1024
    content = (tmp_path / "good.tar").read_bytes()[:length]
    (tmp_path / "zcut.tar").write_bytes(content[:cut])
    with pytest.raises(InputError, match=r"zcut\.tar: cannot be read"):
        find_source(f"{tmp_path}/*.tar")


def test_compressed_shards_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar.gz", "w:gz") as archive:
        add(archive, "0.png", png(0))
    with pytest.raises(InputError, match="shards are plain tars, not compressed"):
        find_source(f"{tmp_path}/*.tar.gz")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("images", 10**15),
        ("images", -1),
        ("images", "203"),
        ("images", 100),
        ("shards", [{"name": "../../etc/passwd", "bytes": 1, "sha256": "0" * 64}]),
        ("shards", [{"name": "shard-000000.tar"}]),
        ("shards", 3),
        ("class_names", [1, 2]),
        ("class_names", ["one"]),
        ("class_names", []),  # and labels of classes
        ("shards", [{"name": "shard-000000.tar", "bytes": 1, "sha256": "0" * 64}] * 2),
    ],
)
def test_a_damaged_dataset_json_is_refused(shards: Path, tmp_path: Path, key: str, value: object) -> None:
    folder = tmp_path / "set"
    shutil.copytree(shards, folder)
    facts = json.loads((folder / "dataset.json").read_text()) | {key: value}
    (folder / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"damaged|by dataset\.json"):
        find_source(str(folder))


def test_a_picture_of_no_class_among_classes_is_refused(shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(shards, folder)
    table = np.fromfile(folder / "dataset.index", "<i8").reshape(-1, 5)
    table[50, LABEL] = -1
    table.tofile(folder / "dataset.index")
    with pytest.raises(InputError, match="of no class"):
        find_source(str(folder))


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1}\n{"a": 2}\n',
        b'{"x": NaN}',
        b'{"id": 123456789012345678901234567890}',
        b"\xff",
        b"7",
        b"x" * 3000,
        None,
    ],
)
def test_a_dataset_json_of_somebody_else_is_none(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setattr(index, "MOST_FACTS", 2000)
    (tmp_path / "a.png").write_bytes(png(1))
    shutil.copy(shards / "shard-000000.tar", tmp_path)
    if content is None:
        (tmp_path / "dataset.json").mkdir()
    else:
        (tmp_path / "dataset.json").write_bytes(content)
    assert len(find_source(tmp_path)) == 1
    assert len(find_source(f"{tmp_path}/*.tar")) == 11
    if content == b"x" * 3000:
        (tmp_path / "dataset.json").write_bytes(b'{"format": "dcgan-shards-1"' + content)
        with pytest.raises(InputError, match=r"dataset\.json: damaged \(larger than"):
            find_source(tmp_path)


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("value", [-(2**63), 2**62, -7])
def test_an_index_that_points_elsewhere_is_refused(shards: Path, tmp_path: Path, column: int, value: int) -> None:
    folder = tmp_path / "set"
    shutil.copytree(shards, folder)
    table = np.fromfile(folder / "dataset.index", "<i8").reshape(-1, 5)
    table[50, column] = value
    table.tofile(folder / "dataset.index")
    with pytest.raises(InputError, match="damaged"):
        find_source(str(folder))


def test_a_shard_that_comes_back_is_waited_for(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "set"
    shutil.copytree(shards, folder)
    source = find_source(str(folder))
    assert isinstance(source, ShardSource)
    (folder / "shard-000002.tar").rename(tmp_path / "away")
    waited: list[float] = []

    def back(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            (tmp_path / "away").rename(folder / "shard-000002.tar")

    monkeypatch.setattr(shard_sources.time, "sleep", back)
    whole = find_source(str(shards))
    assert isinstance(whole, ShardSource)
    assert list(source.read(range(25))) == list(whole.read(range(25)))
    assert waited == [0.5, 2.0]


@pytest.mark.parametrize("vanished", [True, False])
def test_a_shard_that_is_gone_or_cut_is_named(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vanished: bool
) -> None:
    monkeypatch.setattr(shard_sources.time, "sleep", lambda _: None)
    folder = tmp_path / "set"
    shutil.copytree(shards, folder)
    source = find_source(str(folder))
    assert isinstance(source, ShardSource)
    path = folder / "shard-000001.tar"
    if vanished:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match=rf"shard-000001\.tar cannot be read \({'No such' if vanished else 'it ends'}"):
        list(source.read(range(20)))
    if not vanished:
        with pytest.raises(InputError, match=r"has 600 bytes; by dataset\.json it has"):
            find_source(str(folder))


def test_a_sample_is_spread_over_all(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_sources, "SAMPLE", 40)
    source = find_source(str(shards))
    assert isinstance(source, ShardSource)
    sample = source.sample()
    assert len(sample) == len(list(sample.items())) == 40
    assert sample.rows is not None
    assert set(source.index.table[sample.rows, 0]) == set(range(19))
    assert sample.fingerprint() != source.fingerprint()
