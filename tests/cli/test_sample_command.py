from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dcgan
from dcgan import progress
from dcgan.cli import main, sample


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished conditional run at 16×24."""
    out = tmp_path_factory.mktemp("runs") / "run"
    dcgan.train(
        photos,
        out=out,
        images=32,
        image_size="16x24",
        width=4,
        latent_dim=8,
        batch_size=8,
        conditional=True,
        quiet=True,
    )
    return out


@pytest.fixture(scope="module")
def images(run: Path) -> np.ndarray:
    return dcgan.Generator.from_pretrained(run).sample(70, seed=3)


def draw(run: Path, out: Path, *options: str) -> int:
    return main(["sample", str(run), "--seed", "3", "--out", str(out), *options])


def test_a_grid_of_25(run: Path, images: np.ndarray, tmp_path: Path) -> None:
    assert draw(run, tmp_path / "grid.png") == 0
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (5 * 26 + 2, 5 * 18 + 2)
        assert np.array_equal(np.asarray(grid)[2:18, 28:52], images[1])


def test_one_image_is_the_image(run: Path, images: np.ndarray, tmp_path: Path) -> None:
    assert draw(run, tmp_path / "one.png", "-n", "1") == 0
    with Image.open(tmp_path / "one.png") as one:
        assert np.array_equal(np.asarray(one), images[0])


def test_npz_is_one_array(run: Path, images: np.ndarray, tmp_path: Path) -> None:
    assert draw(run, tmp_path / "drawn.npz", "-n", "70") == 0
    with np.load(tmp_path / "drawn.npz", allow_pickle=False) as file:
        assert file.files == ["arr_0"]
        assert file["arr_0"].dtype == np.uint8
        assert np.array_equal(file["arr_0"], images)


def test_a_folder_and_a_zip_hold_png_files(run: Path, images: np.ndarray, tmp_path: Path) -> None:
    assert draw(run, tmp_path / "new" / "folder", "-n", "67") == 0
    assert draw(run, tmp_path / "all.zip", "-n", "67") == 0
    names = [f"{i:05d}.png" for i in range(67)]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == names
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.namelist() == names
        with archive.open("00066.png") as file, Image.open(file) as image:
            assert np.array_equal(np.asarray(image), images[66])


def test_class_and_truncation(run: Path, images: np.ndarray, tmp_path: Path) -> None:
    generator = dcgan.Generator.from_pretrained(run / "generator.safetensors")
    for option in ("dark", "1"):
        assert draw(run, tmp_path / f"{option}.npz", "--class", option, "--truncation", "0.5") == 0
        with np.load(tmp_path / f"{option}.npz") as file:
            assert np.array_equal(file["arr_0"], generator.sample(25, seed=3, label="dark", truncation=0.5))
            assert not np.array_equal(file["arr_0"], images[:25])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-n", "0"], "at least 1"),
        (["--seed", "-1"], "outside [0, 2^63)"),
        (["--class", "drak"], "did you mean 'dark'"),
        (["--class", "2"], "there are: bright, dark"),
        (["--truncation", "0"], "outside (0, ∞)"),
        (["-n", "10001"], "too large"),
        (["--trunction", "1"], "--truncation"),
    ],
)
def test_bad_options(
    run: Path, tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw(run, tmp_path / "new/x.png", *options) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (10**20, "n: 100,000,000,000,000,000,000 images cannot be drawn; at most 1,099,511,627,776"),
        (2, "x.npz: 2 images are 2.25 KiB, and 0 bytes are free there; ask for fewer, or name another --out"),
    ],
)
def test_more_than_there_are_or_than_fits_is_refused_at_once(
    run: Path, tmp_path: Path, n: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    assert draw(run, tmp_path / "new" / "x.npz", "-n", str(n)) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.npz", "x.zip", "folder"])
def test_many_are_counted_as_they_are_drawn(
    run: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0)
    assert draw(run, tmp_path / name, "-n", "150") == 0
    printed = capsys.readouterr().out
    assert re.findall(r"drawing (\d+) of 150 images", printed) == ["64", "128"]


def test_what_exists_is_left_alone(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.png").write_text("mine")
    assert draw(run, tmp_path / "precious.png") == 2
    assert "exists already" in capsys.readouterr().err
    assert draw(run, tmp_path / "precious.png" / "below.png") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert (tmp_path / "precious.png").read_text() == "mine"


@pytest.mark.parametrize("name", ["x.jpg", "x.JPEG", "x.gif", "x.npy"])
def test_a_name_of_another_format_is_no_folder(
    run: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw(run, tmp_path / name) == 2
    assert f"{name} is neither a .png, a .npz, a .zip nor a folder to make" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_and_no_run_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "generator.pth")
    assert draw(tmp_path / "generator.pth", tmp_path / "x.png") == 2
    assert "this is a pickle" in capsys.readouterr().err
    assert draw(tmp_path / "nothing", tmp_path / "x.png") == 2
    assert draw(tmp_path, tmp_path / "x.png") == 2
    assert "no generator.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["drawn.npz", "drawn.zip", "folder"])
def test_what_cannot_be_finished_is_removed(tmp_path: Path, name: str) -> None:
    def pieces() -> object:
        yield np.zeros((2, 4, 4, 1), np.uint8)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        sample.write(tmp_path / name, pieces(), (4, 4, 4, 1))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["drawn.npz", "drawn.zip", "folder"])
def test_a_killed_one_leaves_nothing_that_looks_whole(tmp_path: Path, name: str) -> None:
    """And the next one removes what it left."""
    script = (
        "import os, sys; from pathlib import Path; import numpy as np; from dcgan.cli import sample\n"
        "def pieces():\n"
        "    yield np.zeros((2, 4, 4, 1), np.uint8)\n"
        "    os.kill(os.getpid(), 9)\n"
        "sample.write(Path(sys.argv[1]), pieces(), (4, 4, 4, 1))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(dcgan.__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], env=environment)
    assert killed.returncode == -signal.SIGKILL
    left = {path.suffix for path in tmp_path.iterdir()}
    assert left == {".partial", ".lock"}
    sample.write(tmp_path / name, iter([np.zeros((4, 4, 4, 1), np.uint8)]), (4, 4, 4, 1))
    assert [path.name for path in tmp_path.iterdir()] == [name]
