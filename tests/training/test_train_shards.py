"""Trainings from tar shards beside those from the folder that the shards came from."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import dcgan
from dcgan.cli import main
from dcgan.data.shards.source import ShardSource
from dcgan.data.shards.write import Sharding, write_shards
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from dcgan.evaluation.originals import originals
from dcgan.progress import Display
from dcgan.training.checkpoint import newest
from tests.together import together


@pytest.fixture(scope="session")
def twenty(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 40 photos as 20 shards of two."""
    out = tmp_path_factory.mktemp("shards") / "photos"
    assert len(write_shards(find_source(photos), out, Sharding(images=2)).shards) == 20
    return out


def weights(run: dcgan.Run) -> dict[str, Any]:
    return load_file(run.path / "generator.safetensors") | {
        f"d.{name}": tensor for name, tensor in load_file(run.path / "discriminator.safetensors").items()
    }


def same(one: dcgan.Run, other: dcgan.Run) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def test_packed_shards_train_as_the_folder_bit_for_bit(
    photos: Path, twenty: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    folder = dcgan.train(photos, out=tmp_path / "folder", images=200, **tiny)
    places: list[str | Path] = [twenty, f"{twenty}/*.tar", f"{twenty}/shard-{{000000..000019}}.tar"]
    for number, data in enumerate(places):
        assert same(folder, dcgan.train(data, out=tmp_path / str(number), images=200, **tiny))


def test_streamed_training_resumes_bit_for_bit(twenty: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    settings = {"stream": True, "images": 136, "checkpoint_interval": 5, "log_interval": 3, "flip": True} | tiny
    whole = dcgan.train(twenty, out=tmp_path / "whole", keep_checkpoints=100, workers=1, **settings)
    assert same(whole, dcgan.train(twenty, out=tmp_path / "workers", workers=3, **settings))
    parts = tmp_path / "parts"
    shutil.copytree(whole.path, parts)
    for later in sorted((parts / "checkpoints").iterdir())[1:]:
        later.unlink()
    assert same(whole, dcgan.train(resume=parts, workers=2, quiet=True))


def test_a_shard_that_vanishes_costs_nothing_that_was_learnt(
    twenty: Path, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is saved at the step before, as a training from a pack is whose drive is gone."""
    settings = {"stream": True, "images": 136, "checkpoint_interval": 1000, "workers": 1} | tiny
    whole = dcgan.train(twenty, out=tmp_path / "whole", **settings)
    drive, away = tmp_path / "drive", tmp_path / "away"
    shutil.copytree(twenty, drive)
    read, count = ShardSource.read, itertools.count()

    def unplugged(source: ShardSource, rows: Sequence[int]) -> Iterator[bytes]:
        if len(rows) > 1 and next(count) == 9 and drive.exists():
            drive.rename(away)
        return read(source, rows)

    monkeypatch.setattr(ShardSource, "read", unplugged)
    monkeypatch.setattr("dcgan.data.shards.source.WAITS", (0.01,))
    with pytest.raises(InputError, match=r"cannot be read .*\. Saved at step 9; once it is back: dcgan train --resume"):
        dcgan.train(drive, out=tmp_path / "run", **settings)
    away.rename(drive)
    assert same(whole, dcgan.train(resume=tmp_path / "run", quiet=True))


def test_what_a_run_says_of_its_stream(twenty: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    run = dcgan.train(f"{twenty}/*.tar", out=tmp_path / "run", stream=True, n_epochs=2, **tiny)
    assert (run.data["images"], run.data["sample"]) == (40, 40)
    assert json.loads((run.path / "data.json").read_text())["class_names"] == ["bright", "dark"]
    network = dcgan.Generator.from_pretrained(run.path).info.network
    assert originals(run.path, None).packed(network, Display(quiet=True)).key == run.data["key"]


def test_length_in_epochs_is_of_the_stream_not_its_sample(
    twenty: Path, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcgan.data.shards.source.SAMPLE", 10)
    run = dcgan.train(twenty, out=tmp_path / "run", stream=True, n_epochs=2, log_interval=1, **tiny)
    assert run.metrics()[-1]["images"] == 80
    assert (run.data["images"], run.data["sample"]) == (40, 10)


def test_only_shards_are_streamed(photos: Path, twenty: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"is not tar shards; make them with\n  dcgan data pack"):
        dcgan.train(photos, out=tmp_path / "run", stream=True, images=8, **tiny)
    with pytest.raises(InputError, match="dedup: compares all images"):
        dcgan.train(twenty, out=tmp_path / "run", stream=True, dedup=True, images=8, **tiny)
    assert not (tmp_path / "run").exists()


def test_the_command_packs_and_refuses(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["data", "pack", str(photos), "--shards", str(out), "--shard-images", "7"]) == 0
    assert "40 images in 6 shards" in capsys.readouterr().out
    assert main(["data", "pack", str(photos), "--shards", str(out)]) == 2
    assert "exists already; name another --shards" in capsys.readouterr().err
    wrong = ["--shard-images", "0", "--shard-mb", "-1", "--image-size", "big"]
    assert main(["data", "pack", str(photos), "--shards", str(tmp_path / "new"), *wrong]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("shard_images: 0 is outside", "shard_mb: -1", "image_size: 'big'"))
    assert not (tmp_path / "new").exists()


def trained(data: str, out: str, settings: dict[str, Any]) -> str:
    return str(dcgan.train(data, out=out, **settings).path)


def test_two_processes_train_on_a_stream_as_one_does(twenty: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    settings = tiny | {"stream": True, "images": 80, "log_interval": 1, "checkpoint_interval": 5, "augment": "none"}
    one = dcgan.Run(Path(trained(str(twenty), str(tmp_path / "one"), settings)))
    paths = together(trained, 2, str(twenty), str(tmp_path / "two"), settings)
    two = dcgan.Run(Path(paths[0]))
    for ours, theirs in zip(one.metrics(), two.metrics(), strict=True):
        for name in ("loss_d", "loss_g", "d_real"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-4)
    places = [newest(run.checkpoints)[0].place for run in (one, two)]  # type: ignore[union-attr]
    assert places[0] == places[1] == {"epoch": 2, "offset": 0}
