"""Faces cut out of photographs: OpenCV's frontal face detector, as for the paper's faces (section 4.2).

"We run the OpenCV face detector on these images, keeping the detections that are sufficiently high resolution": the
boxes are squares, and what is cut out is neither turned nor aligned.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dcgan.data.decode import BadImage, decode
from dcgan.data.pack import Progress, quiet_pillow
from dcgan.data.source import Item, Source
from dcgan.device import side_by_side
from dcgan.errors import InputError
from dcgan.files import require_new, write_atomically
from dcgan.images import to_pil

if TYPE_CHECKING:
    from PIL.Image import Image

CASCADE = "haarcascade_frontalface_alt2.xml"
"""Of OpenCV's frontal ones. 300 faces of SMILEs with grey around them: alt2 finds 92 %, alt 92 %, default 78 %, each
once, and with the histogram equalised first, as many examples do, 67, 61 and 61 %."""
STEP, NEIGHBOURS = 1.1, 6
"""Of the detector: the ratio of two sizes that it looks for, and how many detections make a face."""
DETECTED_FROM = 30
"""Pixels of the smallest face that is looked for; larger pictures are reduced to it, which is faster and loses none."""
Box = tuple[int, int, int]
"""left, top, side in pixels of the upright picture."""


@dataclass(frozen=True)
class Cut:
    """What is wanted of the faces."""

    margin: float = 0.0
    """Added on each side, as a share of the box's side."""
    min_size: int = 64
    """Smallest side in pixels of a box that is kept, the margin not counted."""
    size: int | None = None
    """Side in pixels of what is written; none: as it was cut."""
    format: Literal["png", "jpeg"] = "png"


@dataclass(frozen=True)
class Face:
    """One that was written."""

    file: str
    picture: str
    """Name in the source."""
    box: Box
    """What was detected."""
    crop: Box
    """What was cut out."""


@dataclass
class Faces:
    """What was found in the pictures of a source."""

    pictures: int = 0
    faces: list[Face] = field(default_factory=list)
    too_small: int = 0
    """Faces under the smallest size, down to half of it; smaller ones are not looked for."""
    without: int = 0
    """Pictures without any face, be it large enough or not."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Names and reasons."""

    def __str__(self) -> str:
        per_picture = Counter(face.picture for face in self.faces)
        return (
            f"{self.pictures:,} pictures: {len(self.faces):,} faces in {len(per_picture):,} of them; "
            f"{self.too_small:,} faces too small, {self.without:,} pictures without any, "
            f"{len(self.unreadable):,} unreadable"
        )


class Detector:
    """OpenCV's Haar cascade. Each thread has one of its own: they keep notes while they work."""

    def __init__(self, smallest: int) -> None:
        """smallest: side in pixels from which faces are looked for. Raises InputError if OpenCV is not there."""
        try:
            import cv2
        except ImportError as error:
            raise InputError("faces: OpenCV is not installed: pip install 'dcgan[faces]'") from error
        path = Path(getattr(getattr(cv2, "data", None), "haarcascades", "")) / CASCADE
        if not hasattr(cv2, "CascadeClassifier") or not path.is_file():
            raise InputError(f"faces: OpenCV {cv2.__version__} has no {CASCADE}: pip install 'dcgan[faces]'")
        self._cv2, self._path, self._own = cv2, str(path), threading.local()
        self._smallest, self._reduction = smallest, max(1.0, smallest / DETECTED_FROM)

    def __call__(self, pixels: np.ndarray) -> list[Box]:
        """The faces of a picture, uint8 (H, W, 3) RGB: from the left, then from the top."""
        if not hasattr(self._own, "cascade"):
            self._own.cascade = self._cv2.CascadeClassifier(self._path)
        grey = self._cv2.cvtColor(pixels, self._cv2.COLOR_RGB2GRAY)
        height, width = (max(1, round(side / self._reduction)) for side in grey.shape)
        small = self._cv2.resize(grey, (width, height), interpolation=self._cv2.INTER_AREA)
        least = round(self._smallest / self._reduction)
        found = self._own.cascade.detectMultiScale(
            small, scaleFactor=STEP, minNeighbors=NEIGHBOURS, minSize=(least, least)
        )
        return sorted(self._in_the_picture(box, grey.shape) for box in found)

    def _in_the_picture(self, found: np.ndarray, shape: tuple[int, ...]) -> Box:
        left, top, side, _ = (round(float(value) * self._reduction) for value in found)
        return left, top, min(side, shape[1] - left, shape[0] - top)


def with_margin(box: Box, margin: float, height: int, width: int) -> Box:
    """The square to cut out: the box and its margin, moved into the picture, and made smaller if it does not fit."""
    left, top, side = box
    larger = min(round(side * (1 + 2 * margin)), height, width)
    left, top = left - (larger - side) // 2, top - (larger - side) // 2
    return min(max(left, 0), width - larger), min(max(top, 0), height - larger), larger


def cut_faces(source: Source, out: Path, cut: Cut, progress: Progress | None = None) -> Faces:
    """Write every face of a source's pictures to a new folder, and faces.json beside them.

    Files are named by the numbers of picture and face, so that they sort and never collide. When interrupted, what
    was cut so far stays, with its faces.json. Raises InputError if `out` exists, if there is no OpenCV, and, with
    nothing written, if there is not one face.
    """
    detector = Detector(max(1, cut.min_size // 2))
    require_new(out, folders=False, option="--out")
    result, digits = Faces(), max(6, len(str(len(source))))

    def look(item: Item) -> tuple[str, list[tuple[Box, Box, Image]], int, str | None]:
        return item.name, *_faces_of(item, detector, cut)

    try:
        out.mkdir(parents=True)
        with quiet_pillow():
            for name, found, detected, problem in side_by_side(look, source.items()):
                for number, (box, crop, picture) in enumerate(found):
                    file = f"{result.pictures:0{digits}d}-{number:02d}.{'jpg' if cut.format == 'jpeg' else 'png'}"
                    _save(picture, out / file, cut.format)
                    result.faces.append(Face(file, name, box, crop))
                result.pictures += 1
                result.too_small += detected - len(found)
                result.without += not detected and problem is None
                if problem is not None:
                    result.unreadable.append((name, problem))
                if progress:
                    progress(result.pictures, len(source))
    finally:
        if result.faces:
            write_atomically(out / "faces.json", json.dumps(_facts(source, cut, result), indent=1).encode())
        elif out.is_dir() and not any(out.iterdir()):
            out.rmdir()
    if not result.faces:
        raise InputError(f"{source.description}: no face was found ({result}); nothing is written")
    return result


def _faces_of(item: Item, detector: Detector, cut: Cut) -> tuple[list[tuple[Box, Box, Image]], int, str | None]:
    """Box, crop and pixels of each face that is large enough; how many there are in all; why it cannot be read."""
    from PIL.Image import Resampling

    try:
        with item.load() as image:
            pixels = decode(image, None, 3)
    except BadImage as error:
        return [], 0, str(error)
    except OSError as error:
        return [], 0, error.strerror or str(error)
    found = []
    boxes = detector(pixels)
    for box in boxes:
        if box[2] >= cut.min_size:
            left, top, side = crop = with_margin(box, cut.margin, *pixels.shape[:2])
            picture = to_pil(pixels[top : top + side, left : left + side])
            if cut.size:
                picture = picture.resize((cut.size, cut.size), Resampling.LANCZOS)
            found.append((box, crop, picture))
    return found, len(boxes), None


def _save(picture: Image, path: Path, format: str) -> None:
    partial = path.with_name(path.name + ".partial")
    picture.save(partial, format=format.upper(), **({"quality": 95} if format == "jpeg" else {}))
    partial.replace(path)


def _facts(source: Source, cut: Cut, found: Faces) -> dict[str, Any]:
    return {
        "source": source.shared,
        "pictures_of_source": len(source),
        **asdict(cut),
        **asdict(found),
        "unreadable": [{"name": name, "reason": reason} for name, reason in found.unreadable],
    }
