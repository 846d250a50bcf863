"""A pack without some of its images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dcgan.data import subset
from dcgan.data.pack import Pack, pack
from dcgan.data.sources import find_source
from dcgan.data.subset import without
from tests.data.samples import write_pictures


def whole(tmp_path: Path) -> Pack:
    write_pictures(tmp_path / "p", 10)
    return pack(find_source(tmp_path / "p"), (8, 8), 3, cache=tmp_path / "cache")


def test_the_others_are_there_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subset, "_PIECE", 3)
    packed = whole(tmp_path)
    part = without(packed, [7, 0, 3])
    rows = [1, 2, 4, 5, 6, 8, 9]
    assert np.array_equal(part.images, packed.images[rows])
    assert packed.labels is not None
    assert part.labels is not None
    assert part.labels.tolist() == packed.labels[rows].tolist()
    assert (part.class_names, part.source, part.left_out) == (packed.class_names, packed.source, (0, 3, 7))


def test_it_is_made_once_and_its_key_is_that_of_the_rows(tmp_path: Path) -> None:
    packed = whole(tmp_path)
    first, again = without(packed, [1, 2]), without(packed, (2, 1, 2))
    assert (first.fresh, again.fresh) == (True, False)
    assert first.key == again.key != packed.key
    assert again.left_out == (1, 2)
    assert without(packed, [1, 3]).key != first.key
    assert without(packed, []) is packed


def test_rows_of_another_pack_do_no_harm(tmp_path: Path) -> None:
    packed = whole(tmp_path)
    part = without(packed, [2, 99])
    assert len(part.images) == 9
    assert part.key != without(packed, [2]).key
    with pytest.raises(ValueError, match="nothing is left"):
        without(packed, range(10))


def test_without_classes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", 4, classes=("a",))
    part = without(pack(find_source(tmp_path / "p"), (8, 8), 3, cache=tmp_path / "cache"), [0])
    assert part.labels is None
    assert len(part.images) == 3


def test_its_digest_is_of_what_is_in_it(tmp_path: Path) -> None:
    packed = whole(tmp_path)
    os.utime(tmp_path / "p/a/000.png", (1, 1))
    copy = pack(find_source(tmp_path / "p"), (8, 8), 3, cache=tmp_path / "cache")
    assert copy.key != packed.key
    assert copy.digest == packed.digest
    assert without(copy, [1]).digest == without(packed, [1]).digest
    assert len({each.digest for each in (packed, without(packed, [1]), without(packed, [2]))}) == 3
