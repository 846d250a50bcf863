from __future__ import annotations

import itertools
import json
import shutil
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.data.pack import pack
from dcgan.data.patience import DataLost
from dcgan.data.shards import stream as streams
from dcgan.data.shards.source import ShardSource
from dcgan.data.shards.stream import Stream, epoch_order
from dcgan.data.shards.write import Sharding, write_shards
from dcgan.data.sources import find_source
from dcgan.errors import InputError

Batch = tuple[torch.Tensor, torch.Tensor | None]


def stream(folder: Path, batch_size: int = 16, seed: int = 0, **options: Any) -> Stream:
    source = find_source(str(folder))
    assert isinstance(source, ShardSource)
    return Stream(source, (16, 16, 3), batch_size, seed, **{"workers": 2, "buffer": 64} | options)


def taken(batches: Stream, count: int) -> list[bytes]:
    """The pictures of so many batches, one after the other."""
    return [image.numpy().tobytes() for images, _ in itertools.islice(batches, count) for image in images]


def pictures(folder: Path) -> Counter[bytes]:
    return Counter(image.transpose(2, 0, 1).tobytes() for image in pack(find_source(folder), (16, 16, 3)[:2], 3).images)


def test_a_batch_is_channels_last_uint8_with_its_labels(album: Path, shards: Path) -> None:
    packed = pack(find_source(album), (16, 16), 3)
    assert packed.labels is not None
    label = {image.tobytes(): k for image, k in zip(packed.images, packed.labels.tolist(), strict=True)}
    images, labels = next(stream(shards))
    assert images.shape == (16, 3, 16, 16)
    assert images.dtype == torch.uint8
    assert images.permute(0, 2, 3, 1).is_contiguous()
    assert labels is not None
    assert labels.tolist() == [label[image.numpy().tobytes()] for image in images.permute(0, 2, 3, 1)]


def test_a_batch_is_in_the_order_of_its_rows_though_it_is_read_from_front_to_back(shards: Path) -> None:
    batches = stream(shards, 203)
    rows = np.random.default_rng(0).permutation(203)
    sorted_images, sorted_labels, _ = batches._read(np.arange(203))
    images, labels, _ = batches._read(rows)
    assert torch.equal(images, sorted_images[rows])
    assert labels is not None
    assert sorted_labels is not None
    assert torch.equal(labels, sorted_labels[rows])


@pytest.mark.parametrize(("size", "partial"), [(29, False), (7, False), (203, False), (16, True), (67, True)])
def test_every_picture_of_the_folder_once_an_epoch(album: Path, shards: Path, size: int, partial: bool) -> None:
    batches = stream(shards, size, partial=partial)
    for epoch in range(2):
        shown = taken(batches, -(-203 // size))
        if partial or 203 % size == 0:
            assert Counter(shown) == pictures(album)
            assert batches.state() == {"epoch": epoch + 1, "offset": 0}
    if not partial and 203 % size:  # batches run on: `size` epochs are 203 batches
        assert Counter(taken(stream(shards, size), 203)) == Counter({k: n * size for k, n in pictures(album).items()})


def test_the_same_stream_whatever_the_number_of_workers(shards: Path) -> None:
    one = taken(stream(shards, workers=1), 30)
    assert taken(stream(shards, workers=4), 30) == one
    assert taken(stream(shards, seed=1), 30) != one


def test_slow_threads_change_nothing(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = taken(stream(shards), 13)
    rng, decode = np.random.default_rng(0), streams.decode

    def slow(*arguments: Any) -> np.ndarray:
        time.sleep(0.002 * rng.random())
        return decode(*arguments)

    monkeypatch.setattr(streams, "decode", slow)
    assert taken(stream(shards, workers=4), 13) == expected


@pytest.mark.parametrize("done", [0, 1, 5, 12, 13, 20])
def test_a_resume_shows_what_would_have_been_shown(shards: Path, done: int) -> None:
    whole = stream(shards)
    before = taken(whole, done)
    place = json.loads(json.dumps(whole.state()))
    rest = taken(whole, 20)
    resumed = stream(shards, workers=3)
    next(resumed)  # it has been somewhere else
    resumed.restore(place)
    assert resumed.state() == place
    assert taken(resumed, 20) == rest
    assert taken(stream(shards), done + 20) == before + rest


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_together_see_the_stream_of_one(shards: Path, world: int) -> None:
    whole = stream(shards)
    ranks = [stream(shards, share=(rank, world)) for rank in range(world)]
    for _ in range(30):
        parts = [next(rank)[0] for rank in ranks]
        assert {len(part) for part in parts} == {16 // world}
        both = Counter(image.numpy().tobytes() for part in parts for image in part)
        assert both == Counter(image.numpy().tobytes() for image in next(whole)[0])
    assert len({json.dumps(batches.state()) for batches in (whole, *ranks)}) == 1


def test_the_order_is_a_permutation_that_mixes() -> None:
    starts = np.array([0, 1000, 1003, 3000, 3000, 8000])  # very unequal, one of them empty
    for size in (16, 10, 7, 64):
        orders = [epoch_order(starts, seed, epoch, size, 512) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
        assert all(np.array_equal(np.sort(order), np.arange(8000)) for order in orders)
        assert not any(np.array_equal(a, b) for a, b in itertools.combinations(orders, 2))
    rows = epoch_order(np.arange(0, 100_001, 1000), 0, 0, 16, 1600)
    # Were shards of one class each, a batch would still hold many classes; neighbours are far apart.
    classes = [len(set(batch // 1000)) for batch in rows[:99_200].reshape(-1, 16)]
    assert np.mean(classes) > 12


def test_no_more_than_the_buffer_is_open_at_a_time() -> None:
    rows = epoch_order(np.arange(0, 100_001, 1000), 0, 0, 16, 1600)
    # Each of 16 lanes of 6,250 rows is within 100 rows of its front: it touches a shard in 1,100 steps at most.
    batches = rows[: 16 * 6250].reshape(-1, 16)
    for lane in batches.T:
        for shard in set(lane // 1000):
            when = np.flatnonzero(lane // 1000 == shard)
            assert when[-1] - when[0] <= 1100


def test_a_rank_reads_its_share_of_the_shards() -> None:
    rows = epoch_order(np.arange(0, 64_001, 1000), 0, 0, 16, 1600).reshape(-1, 16)
    read = [set((rows[:, 4 * rank : 4 * rank + 4] // 1000).ravel()) for rank in range(4)]
    assert all(len(shards) <= 20 for shards in read)  # of 64; 16 would be the least


def with_broken(shards: Path, folder: Path, rows: list[int]) -> Path:
    """The set with zeros in place of some pictures."""
    shutil.copytree(shards, folder)
    source = find_source(str(folder))
    assert isinstance(source, ShardSource)
    for row in rows:
        shard, offset, size = source.index.table[row, :3].tolist()
        with (folder / f"shard-{shard:06d}.tar").open("r+b") as file:
            file.seek(offset)
            file.write(bytes(size))
    return folder


def test_broken_pictures_are_counted_and_the_next_ones_stand_in(shards: Path, tmp_path: Path) -> None:
    said: list[str] = []
    source = find_source(str(shards))
    assert isinstance(source, ShardSource)
    bad = [10, 11, 50]  # row 10 is the last of its shard: its first stands in
    folder = with_broken(shards, tmp_path / "set", bad)
    batches = stream(folder, 29, warn=said.append)
    shown = Counter(taken(batches, 7))
    good = stream(shards, 203)
    expected = [image.numpy().tobytes() for image in good._read(np.arange(203)).images]
    stand_ins = {10: 0, 11: 12, 50: 51}
    assert shown == Counter(expected[stand_ins.get(row, row)] for row in range(203))
    assert len(said) == 1
    assert "1 (shard-0000" in said[0]


def test_too_many_broken_pictures_are_an_error(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ENOUGH", 100)
    folder = with_broken(shards, tmp_path / "set", list(range(0, 203, 6)))
    with pytest.raises(InputError, match=r"pictures cannot be read, more than 10% \(--max-skipped\)"):
        taken(stream(folder, warn=lambda _: None), 13)
    taken(stream(folder, warn=lambda _: None, max_skipped=0.5), 13)


def test_a_shard_of_broken_pictures_ends_it(shards: Path, tmp_path: Path) -> None:
    folder = with_broken(shards, tmp_path / "set", list(range(11)))
    with pytest.raises(InputError, match="this picture and the 1,000 after it cannot be read"):
        taken(stream(folder, warn=lambda _: None), 13)


def test_a_shard_that_vanishes_ends_it_with_its_name(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dcgan.data.shards import source

    monkeypatch.setattr(source, "WAITS", (0.01, 0.01))
    folder = tmp_path / "set"
    shutil.copytree(shards, folder)
    batches = stream(folder)
    (folder / "shard-000007.tar").unlink()
    with pytest.raises(DataLost, match=r"shard-000007\.tar cannot be read"):
        taken(batches, 13)


def test_a_batch_of_large_files_is_read_picture_by_picture(tmp_path: Path) -> None:
    """64 photos of 4 MB are 256 MB, and every worker would hold as many."""
    heavy = tmp_path / "heavy"
    heavy.mkdir()
    for i in range(64):
        Image.new("RGB", (1200, 1200), (i, i, i)).save(heavy / f"{i}.bmp")
    write_shards(find_source(heavy), tmp_path / "set", Sharding(images=32))
    batches = stream(tmp_path / "set", 64, workers=1)
    tracemalloc.start()
    next(batches)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    batches.close()
    assert peak < 30e6
