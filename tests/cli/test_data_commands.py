"""`dcgan data dedup` and `dcgan data faces` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.cli import main
from dcgan.curation import autoencoder, faces


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve pictures of blobs, and copies of the first two, the second of them larger."""
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(autoencoder, "STEPS", 40)
    coarse = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    (tmp_path / "album").mkdir()
    for name, i, side in [*((f"{i:02d}", i, 64) for i in range(12)), ("copy", 0, 64), ("large", 1, 96)]:
        picture = Image.fromarray(coarse[i]).resize((side, side), Image.Resampling.BICUBIC)
        picture.save(tmp_path / "album" / f"{name}.png")
    return tmp_path / "album"


def test_dedup_reports_and_moves(album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "dedup", str(album), "--out", str(tmp_path / "report")]) == 0
    assert "14 images: 2 groups with 2 duplicates" in capsys.readouterr().out
    groups = json.loads((tmp_path / "report" / "groups.json").read_text())["groups"]
    assert [group["keep"]["name"] for group in groups] == ["00.png", "large.png"]
    assert (tmp_path / "report" / "page-01.png").is_file()
    assert len(list(album.iterdir())) == 14  # nothing is moved without being told to
    assert main(["data", "dedup", str(album), "--move-to", str(tmp_path / "aside")]) == 0
    assert sorted(path.name for path in (tmp_path / "aside").iterdir()) == ["01.png", "copy.png"]
    assert len(list(album.iterdir())) == 12


def test_dedup_says_what_it_leaves_where_it_is(album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (album / "favourite.png").symlink_to("copy.png")
    assert main(["data", "dedup", str(album), "--move-to", str(tmp_path / "aside")]) == 0
    said = capsys.readouterr().out
    assert "15 images: 2 groups with 3 duplicates" in said
    assert "1 files moved there; 2 left where they are: links, or what a link leads to" in said
    assert (album / "favourite.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dedup", "ALBUM", "--agreement", "0.5"], "agreement: 0.5 is outside (0.8, 1]"),
        (["dedup", "ALBUM", "--max-skipped", "-1"], "max_skipped: -1 is outside [0, 1]"),
        (["dedup", "ALBUM", "--max-skipped", "nan"], "max_skipped: nan is outside [0, 1]"),
        (["dedup", "ALBUM", "--out", "ALBUM"], "exists already; name another --out"),
        (["dedup", "ALBUM", "--move-to", "ALBUM"], "exists already; name another --move-to"),
        (["dedup", "digits", "--move-to", "aside"], "only files of a folder can be moved"),
        (["dedup", "nowhere"], "no data at 'nowhere'"),
        (["faces", "ALBUM", "--out", "ALBUM"], "exists already; name another --out"),
        (["faces", "ALBUM", "--out", "o", "--margin", "3", "--size", "2"], "margin: 3 is outside [0, 2]\nsize: 2 is"),
        (["faces", "ALBUM", "--out", "o", "--min-size", "8"], "min_size: 8 is outside [24, 10000]"),
        (["faces", "ALBUM", "--out", "o"], "no face was found (14 pictures: 0 faces"),
    ],
)
def test_wrong_input(
    arguments: list[str],
    said: str,
    album: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", *(str(album) if word == "ALBUM" else word for word in arguments)]) == 2
    assert said in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {"album", "cache"}


def test_faces_are_cut(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Everywhere:
        def __init__(self, smallest: int) -> None:
            assert smallest == 16

        def __call__(self, pixels: np.ndarray) -> list[faces.Box]:
            return [(8, 8, 40)]

    monkeypatch.setattr(faces, "Detector", Everywhere)
    out = tmp_path / "faces"
    assert main(["data", "faces", str(album), "--out", str(out), "--min-size", "32", "--size", "24"]) == 0
    assert "14 pictures: 14 faces in 14 of them" in capsys.readouterr().out
    assert len(list(out.glob("*.png"))) == 14
    with Image.open(out / "000000-00.png") as picture:
        assert picture.size == (24, 24)
