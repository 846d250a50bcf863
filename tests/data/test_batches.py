from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan.data.batches import Batches, ReadAhead, open_batches
from dcgan.data.patience import FileRows


def numbered(n: int) -> tuple[np.ndarray, np.ndarray]:
    """n images of 2×3×1 whose pixels are their number, which is their label too."""
    labels = np.arange(n)
    return np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (n, 2, 3, 1)).copy(), labels


def taken(batches: Batches, count: int) -> list[list[int]]:
    return [images[:, 0, 0, 0].tolist() for images, _ in itertools.islice(batches, count)]


def test_a_batch_is_channels_last_uint8_with_its_labels() -> None:
    images, labels = next(Batches(*numbered(10), batch_size=4, seed=0))
    assert images.shape == (4, 1, 2, 3)
    assert images.dtype == torch.uint8
    assert images.permute(0, 2, 3, 1).is_contiguous()
    assert labels is not None
    assert labels.tolist() == images[:, 0, 0, 0].tolist()
    assert next(Batches(numbered(10)[0], None, 4, 0))[1] is None


@pytest.mark.parametrize(("n", "size"), [(10, 5), (10, 4), (7, 3), (5, 8), (3, 64)])
def test_every_image_is_shown_equally_often(n: int, size: int) -> None:
    batches = Batches(*numbered(n), batch_size=size, seed=1)
    shown = list(itertools.chain(*taken(batches, n)))  # n batches: `size` epochs exactly
    assert sorted(shown) == sorted(list(range(n)) * size)
    assert (batches.epoch, batches.offset) == (size, 0)


def test_a_batch_may_be_thousands_of_times_the_set() -> None:
    large, small = Batches(*numbered(2), batch_size=6001, seed=1), Batches(*numbered(2), batch_size=1, seed=1)
    assert taken(large, 1) == [list(itertools.chain(*taken(small, 6001)))]
    assert large.state() == small.state() == {"epoch": 3000, "offset": 1}


@pytest.mark.parametrize("resident", [False, True])
def test_every_part_of_a_batch_is_a_sample_of_a_set_that_is_sorted_by_class(resident: bool) -> None:
    device = torch.device("cpu") if resident else None
    batches = Batches(*numbered(200), batch_size=100, seed=0, device=device)
    for part in itertools.chain(*(np.array_split(batch, 4) for batch in taken(batches, 10))):
        assert len(np.unique(part // 20)) > 5  # of ten classes
        assert len(part) == 25


def test_a_memory_map_is_read_from_front_to_back(tmp_path: Path) -> None:
    class Watched(io.FileIO):
        def seek(self, place: int, whence: int = 0) -> int:
            places.append(place)
            return super().seek(place, whence)

    images, labels = numbered(50)
    (tmp_path / "images.bin").write_bytes(images.tobytes())
    batches = Batches(np.memmap(tmp_path / "images.bin", np.uint8, "r", shape=images.shape), labels, 20, seed=0)
    assert isinstance(batches._rows, FileRows)
    batches._rows._file.close()
    batches._rows._file = Watched(tmp_path / "images.bin")
    for _ in range(5):
        places = list[int]()
        shown, of_them = next(batches)
        assert len(places) == 20
        assert np.all(np.diff(places) >= 0)
        assert of_them is not None
        assert shown[:, 0, 0, 0].tolist() == of_them.tolist()
        assert sorted(of_them.tolist()) != of_them.tolist()


def test_partial_batches_end_each_epoch() -> None:
    batches = Batches(*numbered(10), batch_size=4, seed=0, partial=True)
    sizes = [len(batch) for batch in taken(batches, 6)]
    assert sizes == [4, 4, 2, 4, 4, 2]
    batches = Batches(*numbered(10), batch_size=4, seed=0, partial=True)
    assert sorted(itertools.chain(*taken(batches, 3))) == list(range(10))


def test_a_partial_batch_of_one_is_left_out() -> None:
    batches = Batches(*numbered(9), batch_size=4, seed=0, partial=True)
    assert [len(batch) for batch in taken(batches, 4)] == [4, 4, 4, 4]


def test_epochs_and_seeds_differ_and_repeat() -> None:
    def orders(seed: int) -> list[list[int]]:
        batches = Batches(*numbered(50), batch_size=10, seed=seed)
        return taken(batches, 10)

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)
    assert orders(1)[:5] != orders(1)[5:]


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("after", range(8))
def test_it_goes_on_where_it_was(after: int, partial: bool) -> None:
    def new() -> Batches:
        return Batches(*numbered(10), batch_size=4, seed=3, partial=partial)

    whole, resumed = new(), new()
    taken(whole, after)
    resumed.restore(whole.state())
    assert taken(whole, 9) == taken(resumed, 9)


def test_a_set_on_the_device_gives_the_same_batches() -> None:
    images, labels = numbered(10)
    resident = Batches(images, labels, batch_size=4, seed=3, device=torch.device("cpu"))
    images[:] = 99  # it has a copy of its own
    host = Batches(*numbered(10), batch_size=4, seed=3)
    for (ours, our_labels), (theirs, their_labels) in itertools.islice(zip(resident, host, strict=False), 9):
        assert torch.equal(ours, theirs)
        assert ours.dtype == torch.uint8
        assert ours.permute(0, 2, 3, 1).is_contiguous()
        assert our_labels is not None
        assert their_labels is not None
        assert torch.equal(our_labels, their_labels)
    assert next(Batches(numbered(4)[0], None, 4, 0, device=torch.device("cpu")))[1] is None


@pytest.mark.parametrize("after", range(8))
def test_reading_ahead_changes_no_batch_and_no_place(after: int) -> None:
    def plain() -> Batches:
        return Batches(*numbered(10), batch_size=4, seed=3)

    here, ahead = plain(), ReadAhead(plain())
    assert taken(here, after) == [images[:, 0, 0, 0].tolist() for images, _ in itertools.islice(ahead, after)]
    assert ahead.state() == here.state()
    resumed = ReadAhead(plain())
    next(resumed)
    resumed.restore(ahead.state())
    assert resumed.state() == here.state()
    assert [images[:, 0, 0, 0].tolist() for images, _ in itertools.islice(resumed, 9)] == taken(here, 9)


def test_reading_ahead_hands_on_what_went_wrong() -> None:
    class Broken(Batches):
        def __next__(self) -> tuple[torch.Tensor, torch.Tensor | None]:
            raise OSError("the drive is gone")

    with pytest.raises(OSError, match="the drive is gone"):
        next(ReadAhead(Broken(*numbered(10), batch_size=4, seed=3)))


def test_a_cpu_reads_from_the_memory_map() -> None:
    batches = open_batches(*numbered(10), torch.device("cpu"), batch_size=4, seed=0)
    assert isinstance(batches, Batches)
    assert batches._resident is None
