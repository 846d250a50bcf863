from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch

from dcgan.errors import InputError
from dcgan.files import write_tensors
from dcgan.progress import Position
from dcgan.training.checkpoint import Checkpoint, newest, saved


def checkpoint(step: int) -> Checkpoint:
    tensors = {"a": torch.arange(step, dtype=torch.float32), "b": torch.tensor(step, dtype=torch.uint8)}
    return Checkpoint(Position(step, 8 * step, 0.5), {"epoch": 1, "offset": step}, {"updates": step}, tensors, {"x": 1})


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = checkpoint(5).save(tmp_path / "checkpoints", keep=3)
    loaded = Checkpoint.load(path)
    assert loaded.position == Position(5, 40, 0.5)
    assert (loaded.place, loaded.counters, loaded.settings) == ({"epoch": 1, "offset": 5}, {"updates": 5}, {"x": 1})
    assert torch.equal(loaded.tensors["a"], torch.arange(5.0))
    assert loaded.tensors["b"].dtype == torch.uint8


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        checkpoint(step).save(tmp_path, keep=2)
    assert [path.stem for path in saved(tmp_path)] == ["000000003", "000000010"]


def test_the_newest_sound_one_is_kept_too(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 10):
        checkpoint(step).save(tmp_path, keep=2, sound=min(step, 3))
    assert [path.stem for path in saved(tmp_path)] == ["000000003", "000000004", "000000010"]
    checkpoint(11).save(tmp_path, keep=2, sound=11)
    assert [path.stem for path in saved(tmp_path)] == ["000000010", "000000011"]


def test_those_up_to_a_step(tmp_path: Path) -> None:
    for step in (0, 9, 10):
        checkpoint(step).save(tmp_path, keep=9)
    (tmp_path / "mine.safetensors").write_bytes(b"no number")
    assert [path.stem for path in saved(tmp_path, 9)] == ["000000000", "000000009"]
    found, problems = newest(tmp_path, 8)
    assert found is not None
    assert (found.position.step, problems) == (0, [])


def test_a_copy_by_hand_is_neither_resumed_nor_removed(tmp_path: Path) -> None:
    copy = checkpoint(1).save(tmp_path, keep=2).rename(tmp_path / "good.safetensors")
    with pytest.raises(InputError, match=r"good\.safetensors: to resume from it, name it by its step"):
        newest(tmp_path)
    for step in (2, 3, 4):
        checkpoint(step).save(tmp_path, keep=2)
    assert [path.stem for path in saved(tmp_path)] == ["000000003", "000000004"]
    found, problems = newest(tmp_path)
    assert found is not None
    assert (found.position.step, problems) == (4, [])
    assert newest(tmp_path, 2) == (None, [])
    assert copy.exists()


def test_steps_are_compared_as_numbers(tmp_path: Path) -> None:
    for step in (999_999_999, 1_000_000_000):
        checkpoint(0).save(tmp_path, keep=9).rename(tmp_path / f"{step:09d}.safetensors")
    assert [path.stem for path in saved(tmp_path)] == ["999999999", "1000000000"]
    assert [path.stem for path in saved(tmp_path, 999_999_999)] == ["999999999"]


def test_newest_of_an_empty_folder_is_none(tmp_path: Path) -> None:
    assert newest(tmp_path / "none") == (None, [])


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "garbage", "pickle"])
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    checkpoint(1).save(tmp_path, keep=3)
    path = checkpoint(200).save(tmp_path, keep=3)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # in the tensors: only the checksum notices
    harmed: dict[str, bytes | bytearray] = {
        "truncate": content[: len(content) // 2],
        "flip": content,
        "empty": b"",
        "garbage": b"not a checkpoint at all",
        "pickle": pickle.dumps({"a": 1}),
    }
    path.write_bytes(harmed[damage])
    loaded, problems = newest(tmp_path)
    assert loaded is not None
    assert loaded.position.step == 1
    assert len(problems) == 1
    assert path.name in problems[0]
    assert ("pickle" in problems[0]) == (damage == "pickle")


def test_all_damaged_is_an_error_that_names_each(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint(step).save(tmp_path, keep=3).write_bytes(b"")
    with pytest.raises(InputError, match=r"no checkpoint in it can be read(?s:.)*000000002(?s:.)*000000001"):
        newest(tmp_path)


def test_a_folder_with_only_a_pickle_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "last.pt")
    with pytest.raises(InputError, match=r"last\.pt: a pickle is never loaded"):
        newest(tmp_path)


@pytest.mark.parametrize("metadata", [{}, {"checkpoint": "{}"}, {"checkpoint": "no json"}, {"checkpoint": "[]"}])
def test_other_safetensors_are_no_checkpoints(tmp_path: Path, metadata: dict[str, str]) -> None:
    write_tensors(tmp_path / "other.safetensors", {"a": torch.zeros(2)}, metadata)
    with pytest.raises(InputError, match="not a checkpoint of dcgan"):
        Checkpoint.load(tmp_path / "other.safetensors")


def test_another_format_is_named(tmp_path: Path) -> None:
    text = json.dumps({"format": "dcgan-checkpoint-99"})
    write_tensors(tmp_path / "new.safetensors", {}, {"checkpoint": text})
    with pytest.raises(InputError, match="dcgan-checkpoint-99"):
        Checkpoint.load(tmp_path / "new.safetensors")


def test_a_failed_save_leaves_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(1).save(tmp_path, keep=1)

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint(2).save(tmp_path, keep=1)
    loaded, problems = newest(tmp_path)
    assert loaded is not None
    assert (loaded.position.step, problems) == (1, [])
    assert [path.name for path in tmp_path.iterdir()] == ["000000001.safetensors"]
