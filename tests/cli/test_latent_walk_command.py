from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from dcgan.cli import main
from dcgan.latent.walk import walk
from tests.test_pretrained import BATCH, CLASSES, Generator, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a generator of 16×20 in RGB."""
    folder = tmp_path_factory.mktemp("run")
    trained(Generator, **BATCH).save_pretrained(folder)
    return folder


def go(run: Path, out: Path, *options: str) -> int:
    return main(["latent", "walk", str(run), "--out", str(out), *options])


def test_a_grid_has_a_path_a_row(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert go(run, tmp_path / "new" / "walk.png", "--seed", "3", "--json", str(tmp_path / "walk.json")) == 0
    walked = walk(trained(Generator, **BATCH), seed=3)
    with Image.open(tmp_path / "new" / "walk.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (8 * 18 + 2, 10 * 22 + 2, 3)
    for row, step in ((0, 0), (0, 9), (3, 4), (7, 9)):
        top, left = 2 + 18 * row, 2 + 22 * step
        assert np.array_equal(pixels[top : top + 16, left : left + 20], walked.frames[row, step])
    record, smoothness = json.loads((tmp_path / "walk.json").read_text()), walked.smoothness()
    assert record["through"] == list(range(9))
    assert record["largest_by_mean"] == smoothness.ratio == np.max(record["steps"]) / np.mean(record["steps"])
    assert (record["seed"], record["class"], record["interpolation"]) == (3, None, "spherical")
    said = capsys.readouterr().out
    assert "8 paths of 10 frames" in said
    assert f"{smoothness.ratio:.2f} times the mean step of {smoothness.mean:.1f}" in said


@pytest.mark.parametrize(("loop", "frames"), [([], 2 * 3 + 1), (["--loop"], 3 * 3)])
def test_a_gif_shows_each_frame_once(run: Path, tmp_path: Path, loop: list[str], frames: int) -> None:
    assert go(run, tmp_path / "walk.gif", "--through", "3, 17,9", "--steps", "4", *loop) == 0
    with Image.open(tmp_path / "walk.gif") as movie:
        shown = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(movie)]
        assert movie.info["duration"] == 80
    assert len(shown) == frames
    assert shown[0].shape == (128, 160, 3)
    wanted = walk(trained(Generator, **BATCH), (3, 17, 9), steps=4, loop=bool(loop)).flat()
    for one, other in zip(shown, wanted, strict=False):
        assert np.abs(one[4::8, 4::8].astype(int) - other).mean() < 8  # the palette's 256 colours
        assert np.array_equal(one, np.kron(one[::8, ::8], np.ones((8, 8, 1), np.uint8)))


def test_a_folder_of_frames(run: Path, tmp_path: Path) -> None:
    assert go(run, tmp_path / "frames", "--points", "3", "--steps", "5", "--interpolation", "linear") == 0
    wanted = walk(trained(Generator, **BATCH), range(3), steps=5, interpolation="linear").flat()
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [f"{i:05d}.png" for i in range(9)]
    for i in (0, 4, 8):
        with Image.open(tmp_path / "frames" / f"{i:05d}.png") as picture:
            assert np.array_equal(np.asarray(picture), wanted[i])


def test_one_class(tmp_path: Path) -> None:
    trained(Generator, **CLASSES).save_pretrained(tmp_path / "run")
    assert go(tmp_path / "run", tmp_path / "a.png", "--class", "dog", "--points", "2") == 0
    assert go(tmp_path / "run", tmp_path / "b.png", "--class", "cat", "--points", "2") == 0
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--points", "1"], "two samples or more, not 1"),
        (["--points", "-2"], "two samples or more, not 0"),
        (["--points", "100000000000"], "999,999,999,990 frames are too many for one walk"),
        (["--points", "100000000000000000000"], "frames are too many for one walk"),
        (["--json", "WALK"], "is named twice"),
        (["--json", "x" * 300], "cannot be written (File name too long)"),
        (["--through", "3"], "two samples or more"),
        (["--through", "3,-4"], "'3,-4' is no list of sample numbers"),
        (["--through", ""], "is no list of sample numbers"),
        (["--through", "3,²"], "is no list of sample numbers"),
        (["--through", "3,99999999999999999999999"], "is no list of sample numbers"),
        (["--steps", "1"], "at least 2"),
        (["--steps", "2000"], "too many for one walk"),
        (["--seed", "-1"], "seed: -1"),
        (["--class", "dog"], "without classes"),
        (["--truncation", "0"], "truncation"),
        (["--interpolation", "cubic"], "cubic"),
    ],
)
def test_bad_options(
    run: Path, tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(tmp_path / "walk.png") if word == "WALK" else word for word in options]
    assert go(run, tmp_path / "walk.png", *options) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert list(tmp_path.iterdir()) == []


def test_where_to_write(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert go(run, tmp_path / "walk.mp4") == 2
    assert "neither a .png, a .gif nor a folder" in capsys.readouterr().err
    (tmp_path / "mine.png").write_text("mine")
    assert go(run, tmp_path / "mine.png") == 2
    assert go(run, tmp_path / "walk.png", "--json", str(tmp_path / "mine.png")) == 2
    assert go(run, tmp_path / "mine.png" / "walk.png", "--points", "2") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert go(tmp_path / "nothing", tmp_path / "walk.png") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]
    assert (tmp_path / "mine.png").read_text() == "mine"
