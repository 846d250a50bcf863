"""Duplicates found among pictures in which they were planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcgan.curation import autoencoder, dedup
from dcgan.curation.dedup import Duplicates, Group, agreements, connected, duplicates, find_duplicates
from dcgan.data.pack import pack
from dcgan.data.sources import find_source
from tests.curation.conftest import cropped, smooth, write_pngs


def planted() -> np.ndarray:
    """80 pictures, then versions of the first 20: the same, darker, cropped, moved."""
    images = smooth(80)
    versions = [
        *images[:5],
        *(images[5:10] * 0.9).astype(np.uint8),
        *(cropped(image, 0.05) for image in images[10:15]),
        *np.roll(images[15:20], (1, -2), (1, 2)),
    ]
    return np.concatenate([images, np.stack(versions)])


@pytest.mark.usefixtures("few_steps")
def test_planted_duplicates_are_found_and_nothing_else() -> None:
    found = find_duplicates(planted())
    assert [group.members for group in found.groups] == [(i, 80 + i) for i in range(20)]
    assert found.left_out == tuple(range(80, 100))
    assert all(group.agreement[0] == 1 and group.bits[0] == 0 for group in found.groups)
    assert all(group.agreement[1] == 1 and group.bits[1] == 0 for group in found.groups[:5])
    assert all(0.94 <= group.agreement[1] < 1 for group in found.groups[10:])


@pytest.mark.usefixtures("few_steps")
def test_in_colour_and_not_square() -> None:
    images = smooth(40, 48, 3)[:, :40]
    found = find_duplicates(np.concatenate([images, images[:3]]))
    assert [group.members for group in found.groups] == [(0, 40), (1, 41), (2, 42)]


@pytest.mark.usefixtures("few_steps")
def test_many_copies_are_one_group() -> None:
    """Far more equal codes than a bucket holds."""
    images = np.concatenate([smooth(20), np.repeat(smooth(1, seed=1), 200, axis=0)])
    found = find_duplicates(images)
    assert [group.members for group in found.groups] == [tuple(range(20, 220))]


@pytest.mark.usefixtures("few_steps")
def test_it_is_the_same_each_time() -> None:
    assert find_duplicates(planted()) == find_duplicates(planted())


@pytest.mark.parametrize("n", [0, 1])
def test_there_is_nothing_to_find_in_one_image(n: int) -> None:
    assert find_duplicates(smooth(1)[:n]) == Duplicates(n, ())


def test_every_member_agrees_with_the_first_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of five: neighbours agree, and no others; by pairs alone it would be one image."""

    def neighbours(images: np.ndarray, pairs: np.ndarray, progress: object = None) -> np.ndarray:
        return np.where(np.abs(np.diff(pairs, axis=1)[:, 0]) <= 1, 0.95, 0.1)

    monkeypatch.setattr(dedup, "agreements", neighbours)
    chain = np.array([[i, i + 1] for i in range(4)])
    codes = np.zeros((6, 2), np.uint64)
    groups = dedup._groups(np.empty(6), codes, chain, 0.94)
    assert [group.members for group in groups] == [(0, 1), (2, 3)]  # and 4, whose partner is taken, stays


def test_what_hangs_together() -> None:
    assert connected(7, np.array([[5, 2], [1, 5], [4, 6]])).tolist() == [0, 1, 1, 3, 4, 1, 4]


def test_agreements_do_not_depend_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    images = planted()
    pairs = np.array([[0, 80], [10, 90], [3, 4], [90, 10], [17, 97]])
    whole = agreements(images, pairs)
    monkeypatch.setattr(dedup, "PAIRS_AT_ONCE", 2)
    np.testing.assert_allclose(agreements(images, pairs), whole, atol=1e-5)
    assert (whole >= 0.94).tolist() == [True, True, False, True, True]


def test_json_gives_back_what_was_written() -> None:
    found = Duplicates(9, (Group((1, 4), (1.0, 0.97), (0, 3)), Group((2, 5, 8), (1.0, 1.0, 0.95), (0, 0, 9))))
    assert Duplicates.from_json(found.to_json()) == found


@pytest.mark.usefixtures("few_steps")
def test_what_was_found_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(find_source(write_pngs(tmp_path / "p", planted())), (64, 64), 1)
    seen: list[str] = []

    def counter(doing: str):
        seen.append(doing)
        return lambda done, total: None

    found = duplicates(packed, counter=counter)
    assert seen == ["learning to hash:", "hashing", "looking up", "comparing"]
    assert duplicates(packed, counter=counter) == found
    assert len(seen) == 4
    assert duplicates(packed, agrees=0.999, counter=counter) != found  # another question
    assert len(seen) == 8
    for file in (tmp_path / "cache" / "duplicates").iterdir():
        file.write_text("{")
    assert duplicates(packed, counter=counter) == found  # damaged: found anew
    assert len(seen) == 12


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(find_source(write_pngs(tmp_path / "p", smooth(4))), (64, 64), 1)
    found = Duplicates(4, (Group((0, 2), (1.0, 0.97), (0, 3)),))
    monkeypatch.setattr(dedup, "find_duplicates", lambda *_args, **_named: found)
    (tmp_path / "file").touch()
    assert duplicates(packed, cache=tmp_path / "file") == found


@pytest.mark.data
def test_faces_and_versions_of_them(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aligned faces look alike: the hard case, small. benchmarks/dedup.py is the whole one."""
    monkeypatch.setattr(autoencoder, "STEPS", 300)
    faces = pack(find_source(data_root / "smiles64" / "smiles64.zip"), (64, 64), 1).images[:1500]
    versions = [cropped(face, 0.06) for face in faces[:60]] + [*np.roll(faces[60:120], (1, 1), (1, 2))]
    found = find_duplicates(np.concatenate([faces, np.stack(versions)]))
    pairs = {(group.members[0], row) for group in found.groups for row in group.members[1:]}
    right = {(i, 1500 + i) for i in range(120)}
    assert len(pairs & right) >= 114
    assert len(pairs - right) <= 2  # the set has a few duplicates itself
