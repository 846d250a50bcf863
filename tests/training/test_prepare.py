from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dcgan.errors import InputError
from dcgan.presets import load_preset
from dcgan.progress import Display
from dcgan.training.prepare import Prepared, prepare, settings_that_differ


def pictures(folder: Path, sizes: list[tuple[int, int]], mode: str = "RGB") -> Path:
    """A folder of pictures of these (width, height), with random pixels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i, (width, height) in enumerate(sizes):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{i}.png")
    return folder


def prepared(data: Path | str, preset: str = "fast", **settings: Any) -> Prepared:
    return prepare(load_preset(preset).replace(data=str(data), **settings), Display(quiet=True))


@pytest.mark.parametrize(
    ("sizes", "mode", "preset", "size", "channels"),
    [
        ([(32, 32)] * 3, "RGB", "fast", "32", "3"),
        ([(28, 28)] * 3, "L", "fast", "28", "1"),
        ([(48, 30)] * 3, "L", "fast", "30x48", "1"),  # height first
        ([(32, 32), (40, 40)], "RGB", "fast", "64", "3"),  # differing sizes
        ([(200, 200)] * 2, "RGB", "fast", "64", "3"),  # too large to be meant
        ([(12, 12)] * 2, "RGB", "fast", "64", "3"),  # too small to be built
        ([(24, 24)] * 2, "RGBA", "fast", "24", "3"),
        ([(40, 40)] * 2, "RGB", "paper", "64", "3"),  # the preset names a size
    ],
)
def test_auto_is_settled_by_the_images(
    tmp_path: Path, sizes: list[tuple[int, int]], mode: str, preset: str, size: str, channels: str
) -> None:
    config, pack, _ = prepared(pictures(tmp_path / "p", sizes, mode), preset)
    assert (config.network.image_size, config.network.channels) == (size, channels)
    assert pack.images.shape == (len(sizes), *config.network.size, config.network.image_channels)


def test_auto_size_is_one_that_the_family_can_build(tmp_path: Path) -> None:
    config, _, _ = prepared(pictures(tmp_path / "p", [(30, 30)] * 2), "blog", image_size="auto")
    assert config.network.image_size == "64"


def test_data_is_recorded_so_that_it_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "p", [(16, 16)] * 2)
    monkeypatch.chdir(tmp_path)
    config, _, name = prepared("p")
    assert (config.data.data, name) == (str(tmp_path / "p"), "p")
    assert prepared("digits").config.data.data == "digits"


def test_classes_come_from_the_data(photos: Path, tmp_path: Path) -> None:
    assert prepared(photos, conditional=True).config.network.classes == 2
    assert prepared(photos).config.network.classes == 0
    with pytest.raises(InputError, match="has no class labels"):
        prepared(pictures(tmp_path / "p", [(16, 16)] * 2), conditional=True)


def test_what_is_wrong_with_the_data_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "p", [(16, 16)] * 4)
    (folder / "bad\x1b[2J.png").write_text("x")
    config = load_preset("fast").replace(data=str(folder), image_size=32, max_skipped=0.5)
    prepare(config, Display())
    text = capsys.readouterr().out
    assert "1 images could not be read and are left out (bad\\x1b[2J.png: " in text
    assert "4 images are smaller than 32 and are enlarged" in text
    assert "there are 4 images, fewer than the batch of 16: each batch goes through them more than once" in text
    assert "\x1b" not in text


def test_a_tar_without_classes_is_told_of_patterns(tmp_path: Path) -> None:
    pictures(tmp_path / "p", [(16, 16)] * 2)
    archive = shutil.make_archive(str(tmp_path / "x"), "tar", tmp_path / "p")
    with pytest.raises(InputError, match=r"no class labels .*named by a pattern: 'x-\*\.tar'"):
        prepared(archive, conditional=True)


def test_one_image_makes_no_partial_batch(tmp_path: Path) -> None:
    one = pictures(tmp_path / "p", [(16, 16)])
    with pytest.raises(InputError, match=r"partial_batches: there is one image.*--no-partial-batches"):
        prepared(one, "blog", image_size="16")
    assert prepared(one, "blog", image_size="16", partial_batches=False).pack.total == 1


def test_only_what_changes_the_result_counts_as_a_difference() -> None:
    old = load_preset("blog")
    assert settings_that_differ(old, old.replace(minutes=5, device="cpu", workers=3, tensorboard=True)) == []
    assert settings_that_differ(old, old.replace(lr=1, latent="uniform")) == [
        "latent: normal in the run, uniform asked for",
        "lr: 0.0002 in the run, 1.0 asked for",
    ]


def test_a_gradient_penalty_under_batch_norm_is_warned_of(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_preset("fast").replace(data=str(photos), loss="wasserstein")
    prepare(config, Display())
    assert "--discriminator-norm none is meant" in capsys.readouterr().out
