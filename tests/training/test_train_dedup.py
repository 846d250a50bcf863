"""Training without duplicates: what is learnt from, resumed and evaluated with is the same set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dcgan
from dcgan.curation import autoencoder, dedup
from dcgan.evaluation.originals import originals
from dcgan.files import read_tensors
from dcgan.progress import Display


@pytest.fixture
def doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """24 pictures in two classes, and copies of the first 8: rows 12 to 15, and 28 to 31."""
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(autoencoder, "STEPS", 40)
    coarse = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
    for name in "ab":
        (tmp_path / "photos" / name).mkdir(parents=True)
    for i in range(32):
        picture = Image.fromarray(coarse[i % 24]).resize((16, 16), Image.Resampling.BICUBIC)
        picture.save(tmp_path / "photos" / "ab"[i % 2] / f"{i:02d}.png")
    return tmp_path / "photos"


def test_the_first_of_each_group_is_learnt_from(
    doubled: Path, tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = dcgan.train(doubled, out=tmp_path / "run", images=80, dedup=True, **tiny | {"quiet": False})
    assert "8 duplicates of 32 images are left out" in capsys.readouterr().out
    facts = run.data
    assert (facts["images"], facts["left_out"]) == (24, [*range(12, 16), *range(28, 32)])
    plain = dcgan.train(doubled, out=tmp_path / "plain", images=80, **tiny)
    assert (plain.data["images"], plain.data["left_out"]) == (32, [])


def test_a_resume_has_the_same_images_even_on_another_machine(
    doubled: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dcgan.train(doubled, out=tmp_path / "whole", images=160, dedup=True, **tiny)
    part = dcgan.train(doubled, out=tmp_path / "part", images=80, dedup=True, **tiny)
    shutil.rmtree(tmp_path / "cache")

    def never(*args: object, **options: object) -> None:
        raise AssertionError("a resume does not look for duplicates again")

    monkeypatch.setattr(dedup, "find_duplicates", never)
    resumed = dcgan.train(resume=part.path, images=160, quiet=True)
    one, other = (read_tensors(run.path / "generator.safetensors")[0] for run in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_resume_on_other_images_is_refused(doubled: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    run = dcgan.train(doubled, out=tmp_path / "run", images=80, dedup=True, **tiny)
    for path in sorted(doubled.rglob("*.png"))[8:]:
        path.unlink()
    with pytest.raises(dcgan.InputError, match="are not those it was trained on"):
        dcgan.train(resume=run.path, images=160, quiet=True)
    with pytest.raises(dcgan.InputError, match="dedup: True in the run, False asked for"):
        dcgan.train(resume=run.path, images=160, dedup=False, quiet=True)


def test_whatever_asks_for_its_images_gets_the_same_ones(doubled: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    run = dcgan.train(doubled, out=tmp_path / "run", images=80, dedup=True, **tiny)
    found = originals(run.path, None).packed(run.config.network, Display(quiet=True))
    assert found.key == json.loads((run.path / "data.json").read_text())["key"]
    assert len(found.images) == 24
