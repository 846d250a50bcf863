"""Faces: where they are cut with a detector that is told, and where OpenCV's finds those that were pasted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.curation import faces
from dcgan.curation.faces import Box, Cut, Detector, cut_faces, with_margin
from dcgan.data.pack import pack
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from tests.curation.conftest import write_pngs
from tests.data.samples import noise


class Told:
    """A detector that finds a face for each square in pure red, by its known places."""

    places: tuple[Box, ...] = ((10, 20, 70), (100, 5, 40))

    def __init__(self, smallest: int) -> None:
        self.smallest = smallest

    def __call__(self, pixels: np.ndarray) -> list[Box]:
        return [(x, y, side) for x, y, side in self.places if (pixels[y, x] == (255, 0, 0)).all()]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "Detector", Told)


def album(folder: Path) -> Path:
    """Two faces, one large and one small; none; a broken picture; one large face, turned by EXIF."""
    folder.mkdir()
    for name, places in (("1", Told.places), ("2", ()), ("4", Told.places[:1])):
        pixels = noise(120, 160, 3) // 2
        for x, y, side in places:
            pixels[y : y + side, x : x + side] = 0
            pixels[y, x] = 255, 0, 0
        picture, exif = Image.fromarray(pixels), Image.Exif()
        if name == "4":
            picture = picture.transpose(Image.Transpose.ROTATE_90)
            exif[0x0112] = 6  # to be turned back by 90 degrees
        picture.save(folder / f"{name}.png", exif=exif)
    (folder / "3.png").write_text("broken")
    return folder


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ((50, 40, 20), 0.0, (50, 40, 20)),
        ((50, 40, 20), 0.5, (40, 30, 40)),
        ((2, 40, 20), 0.5, (0, 30, 40)),  # moved into the picture
        ((185, 95, 10), 1.0, (170, 70, 30)),
        ((100, 20, 60), 1.0, (80, 0, 100)),  # larger than the picture is high
    ],
)
def test_the_margin_stays_in_the_picture(box: Box, margin: float, expected: Box) -> None:
    assert with_margin(box, margin, height=100, width=200) == expected


@pytest.mark.usefixtures("told")
def test_what_is_cut_and_what_is_said(tmp_path: Path) -> None:
    source = find_source(album(tmp_path / "album"))
    seen: list[tuple[int, int]] = []
    found = cut_faces(source, tmp_path / "out", Cut(), lambda *at: seen.append(at))
    assert str(found) == ("4 pictures: 2 faces in 2 of them; 1 faces too small, 1 pictures without any, 1 unreadable")
    assert seen == [(i, 4) for i in range(1, 5)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("000000-00.png", "000003-00.png", "faces.json")
    ]
    for name in ("000000-00.png", "000003-00.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert (picture.size, picture.getpixel((0, 0))) == ((70, 70), (255, 0, 0))
    content = json.loads((tmp_path / "out" / "faces.json").read_text())
    assert content["faces"][0] == {
        "file": "000000-00.png", "picture": "1.png", "box": [10, 20, 70], "crop": [10, 20, 70]
    }  # fmt: skip
    assert content["unreadable"][0]["name"] == "3.png"
    assert (content["too_small"], content["without"], content["min_size"]) == (1, 1, 64)


@pytest.mark.usefixtures("told")
def test_several_faces_sizes_and_jpeg(tmp_path: Path) -> None:
    cut = Cut(margin=0.1, min_size=30, size=32, format="jpeg")
    found = cut_faces(find_source(album(tmp_path / "album")), tmp_path / "out", cut)
    assert [face.file for face in found.faces] == ["000000-00.jpg", "000000-01.jpg", "000003-00.jpg"]
    assert found.faces[0].crop == (3, 13, 84)
    packed = pack(find_source(tmp_path / "out"), (32, 32), 3)  # training takes the folder as it is
    assert packed.images.shape == (3, 32, 32, 3)
    assert packed.upscaled == 0


@pytest.mark.usefixtures("told")
def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        cut_faces(find_source(album(tmp_path / "album")), tmp_path / "out", Cut())


def test_pictures_without_a_face_leave_nothing_behind(tmp_path: Path) -> None:
    source = find_source(write_pngs(tmp_path / "p", np.stack([noise(150, 150, 3)] * 2)))
    with pytest.raises(InputError, match=r"no face was found \(2 pictures: .* 2 pictures without any"):
        cut_faces(source, tmp_path / "out", Cut())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("told")
def test_an_interruption_keeps_what_is_done(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_faces(find_source(album(tmp_path / "album")), tmp_path / "out", Cut(), stop)
    content = json.loads((tmp_path / "out" / "faces.json").read_text())
    assert (content["pictures"], content["pictures_of_source"], len(content["faces"])) == (2, 4, 1)


def test_a_missing_opencv_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install 'dcgan\[faces\]'"):
        Detector(32)


def test_an_opencv_without_cascades_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(InputError, match=r"pip install 'dcgan\[faces\]'"):
        Detector(32)


@pytest.mark.data
@pytest.mark.parametrize("scale", [1, 3])
def test_pasted_faces_are_found_where_they_are(data_root: Path, scale: int) -> None:
    """24 faces with their borders drawn out, at known places; at thrice the size the detector looks at a reduction."""
    every = pack(find_source(data_root / "smiles64" / "smiles64.zip"), (64, 64), 1).images
    detector, hits, wrong = Detector(32 * scale), 0, 0
    for i in range(0, 24, 2):
        sheet = np.full((130, 300), 128, np.uint8)
        truth = []
        for place, face in enumerate(every[i * 100 : i * 100 + 200 : 100]):
            left, top = 20 + 150 * place, 10 + i
            sheet[top : top + 96, left : left + 96] = np.pad(face[..., 0], 16, mode="edge")
            truth.append((left + 16, top + 16, 64))
        large = np.asarray(Image.fromarray(sheet).resize((300 * scale, 130 * scale), Image.Resampling.BICUBIC))
        found = detector(np.repeat(large[..., None], 3, 2))
        overlaps = np.array([[iou(box, tuple(scale * v for v in face)) for face in truth] for box in found])
        hits += int((overlaps.reshape(-1, 2) > 0.4).any(0).sum())
        wrong += int((overlaps.reshape(-1, 2).max(1, initial=0) <= 0.4).sum())
    assert hits >= 20
    assert wrong <= 1


def iou(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Intersection over union of two squares."""
    across, down = (min(one[i] + one[2], other[i] + other[2]) - max(one[i], other[i]) for i in (0, 1))
    both = max(0, across) * max(0, down)
    return both / (one[2] ** 2 + other[2] ** 2 - both)
