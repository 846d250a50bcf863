"""Packing: pixels and order, what the cache finds again, threads, and what `inspect` sees."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dcgan.data import pack as packing
from dcgan.data.pack import inspect, pack
from dcgan.data.source import ArraySource
from dcgan.errors import InputError
from tests.data.samples import encoded, find, tarred, write_pictures, zipped

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("form", [Path, zipped, tarred])
@pytest.mark.parametrize("workers", [None, 1, 5])
def test_pixels_labels_and_order(tmp_path, form, workers):
    pixels = write_pictures(tmp_path / "pics")
    result: Any = pack(find(form(tmp_path / "pics")), (8, 8), 3, workers=workers)
    assert np.array_equal(result.images, pixels)
    assert result.labels.tolist() == [0] * 20 + [1] * 20
    assert result.labels.dtype == np.int64
    assert result.class_names == ("a", "b")
    assert result.skipped == ()
    assert result.upscaled == 0
    assert result.fresh
    assert result.source.endswith("40 images in 2 classes")
    assert isinstance(result.images, np.memmap)
    assert not result.images.flags.writeable


def test_progress_is_called_to_the_end(tmp_path):
    write_pictures(tmp_path / "pics", 40)
    calls = []
    pack(find(tmp_path / "pics"), (8, 8), 3, progress=lambda *numbers: calls.append(numbers))
    assert calls[-1] == (40, 40)
    assert calls == sorted(calls)
    assert len(calls) >= 3


def test_cache_is_found_again_and_depends_on_everything(tmp_path, cache):
    write_pictures(tmp_path / "pics", 4)
    source = find(tmp_path / "pics")
    first: Any = pack(source, (8, 8), 3)
    again: Any = pack(find(tmp_path / "pics"), (8, 8), 3)
    assert first.fresh
    assert not again.fresh
    assert again.path == first.path == cache / "packs" / first.key
    assert np.array_equal(again.images, first.images)
    assert np.array_equal(again.labels, first.labels)
    assert (again.class_names, again.skipped, again.source) == (
        first.class_names,
        first.skipped,
        first.source,
    )
    others = [
        pack(source, (8, 4), 3),
        pack(source, (8, 8), 1),
        pack(source, (8, 8), 3, resample="nearest"),
        pack(source, (8, 8), 3, cache=tmp_path / "other"),
    ]
    assert all(other.fresh for other in others)
    assert len({first.key, *(other.key for other in others)}) == 4
    (tmp_path / "pics/a/new.png").write_bytes(encoded(np.zeros((8, 8, 3), np.uint8)))
    assert len(pack(find(tmp_path / "pics"), (8, 8), 3).images) == 5


def test_unlabelled_pack_has_no_labels_file(tmp_path):
    write_pictures(tmp_path / "pics", 4, classes=("only",))
    result: Any = pack(find(tmp_path / "pics"), (8, 8), 3)
    assert result.labels is None
    assert result.class_names == ()
    assert not (result.path / "labels.bin").exists()


def test_upscaled_counts_pictures_smaller_in_either_side(tmp_path):
    for i, shape in enumerate([(8, 8), (8, 7), (7, 8), (20, 7), (20, 20)]):
        (tmp_path / f"{i}.png").write_bytes(encoded(np.zeros(shape, np.uint8)))
    assert pack(find(tmp_path), (8, 8), 1).upscaled == 3


def test_resize_and_channels(tmp_path):
    write_pictures(tmp_path / "pics", 3, (30, 20, 3))
    result: Any = pack(find(tmp_path / "pics"), (16, 12), 1)
    assert result.images.shape == (3, 16, 12, 1)
    assert pack(find(tmp_path / "pics"), (16, 12), 4).images[..., 3].min() == 255


@pytest.mark.parametrize("bad", [{"resample": "magic"}, {"channels": 2}, {"size": (0, 8)}])
def test_wrong_arguments(tmp_path, bad):
    write_pictures(tmp_path / "pics", 2)
    options = {"size": (8, 8), "channels": 3, **bad}
    with pytest.raises(InputError, match="cannot pack"):
        pack(find(tmp_path / "pics"), **options)


@pytest.mark.parametrize("shape", [(5000, 4, 5), (5000, 4, 5, 3)])
def test_arrays_of_the_right_shape_are_copied(shape, monkeypatch):
    images = RNG.integers(0, 256, shape, np.uint8)
    labels = RNG.integers(0, 3, 5000)
    monkeypatch.setattr(packing, "decode", None)  # any use would fail
    source = ArraySource("x", "x", "x", images, labels, ("a", "b", "c"))
    result: Any = pack(source, (4, 5), shape[3] if len(shape) == 4 else 1)
    assert np.array_equal(result.images.reshape(shape), images)
    assert np.array_equal(result.labels, labels)
    unlabelled = pack(ArraySource("x", "x", "x", images, None, ()), (4, 5), 3 if len(shape) == 4 else 1)
    assert unlabelled.labels is None
    assert unlabelled.key != result.key


def test_arrays_of_another_shape_are_resized():
    digits = find("digits")
    few = ArraySource("few", "few", "few", digits.images[:50], digits.labels[:50], digits.class_names)
    result: Any = pack(few, (32, 32), 3, resample="bilinear")
    expected = Image.fromarray(digits.images[7]).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(result.images[7], np.asarray(expected))
    assert result.upscaled == 50


def test_items_in_memory_make_smaller_tasks(tmp_path, monkeypatch):
    write_pictures(tmp_path / "pics", 20)
    source = find(tarred(tmp_path / "pics"))
    assert [len(batch) for batch in packing._batches(source.items())] == [16, 4]
    monkeypatch.setattr(packing, "CHUNK_BYTES", 500)
    batches = list(packing._batches(source.items()))
    assert len(batches) > 4
    assert sum(map(len, batches)) == 20


def test_tasks_in_flight_are_bounded(tmp_path):
    write_pictures(tmp_path / "pics", 200)
    source = find(tmp_path / "pics")
    produced = []

    class Watched(ArraySource):
        def items(self):
            for item in source.items():
                produced.append(item)
                yield item

    chunks = packing._chunks(Watched("x", "x", "x", np.zeros((200, 1, 1)), None, ()), (8, 8, 3), "lanczos", 2)
    next(chunks)
    assert len(produced) <= 16 * 4
    chunks.close()


def test_pack_json_is_readable(tmp_path):
    write_pictures(tmp_path / "pics", 4)
    result: Any = pack(find(tmp_path / "pics"), (8, 8), 3)
    facts = json.loads((result.path / "pack.json").read_text())
    assert facts["shape"] == [4, 8, 8, 3]
    assert facts["class_names"] == ["a", "b"]


def test_inspect_sizes(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(encoded(np.zeros((6, 8), np.uint8)))
    seen = inspect(find(tmp_path))
    assert (seen.looked_at, seen.unreadable, seen.common_size, seen.channels) == (5, 0, (6, 8), 1)
    assert seen.pixels == 48
    (tmp_path / "x.png").write_bytes(encoded(np.zeros((6, 9), np.uint8)))
    assert inspect(find(tmp_path)).common_size is None
    assert inspect(find(tmp_path), sample=2).looked_at == 2
    (tmp_path / "y.png").touch()
    assert inspect(find(tmp_path)).unreadable == 1


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("I;16", 1), ("P", 3), ("RGB", 3), ("RGBA", 3)]
)
def test_inspect_channels(tmp_path, mode, channels):
    Image.new("L", (4, 4)).save(tmp_path / "grey.png")
    Image.new(mode, (4, 4)).save(tmp_path / "x.png")
    assert inspect(find(tmp_path)).channels == channels


def test_inspect_turned_photos(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "turned.jpg", exif=exif)
    assert inspect(find(tmp_path)).common_size == (8, 6)


def test_inspect_streams_only_the_front_of_a_tar(tmp_path):
    write_pictures(tmp_path / "pics", 30)
    seen = inspect(find(tarred(tmp_path / "pics")), sample=10)
    assert seen.looked_at == 10
    assert seen.common_size == (8, 8)


def test_inspect_nothing_readable(tmp_path):
    (tmp_path / "x.png").touch()
    seen = inspect(find(tmp_path))
    assert (seen.unreadable, seen.common_size, seen.channels, seen.pixels) == (1, None, 3, 0)


def test_workers_follow_the_pictures_size(tmp_path, monkeypatch):
    (tmp_path / "x.png").write_bytes(encoded(np.zeros((8, 8), np.uint8)))
    assert packing._workers(find(tmp_path)) == 1
    (tmp_path / "x.png").write_bytes(encoded(np.zeros((200, 200), np.uint8)))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64), raising=False)
    assert packing._workers(find(tmp_path)) == packing.MAX_WORKERS
