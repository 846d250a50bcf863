"""What is fuzzed: each target takes bytes, and lets pass only the errors that are meant for people."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from dcgan.config import Config
from dcgan.curation.dedup import Duplicates
from dcgan.data.archives import UNREADABLE
from dcgan.data.decode import BadImage, decode, open_image, upright_size
from dcgan.data.idx import read_idx
from dcgan.data.listings import tar_source, zip_source
from dcgan.data.lmdb_file import DamagedDatabase, open_database
from dcgan.data.pack import open_pack, quiet_pillow
from dcgan.data.pickles import NotInert, inert
from dcgan.errors import InputError
from dcgan.evaluation.weights import load_weights
from dcgan.features.boxes import read_boxes
from dcgan.files import load_yaml, read_tensors
from dcgan.pretrained import Generator, ModelInfo
from dcgan.reading import parse_json
from dcgan.training.checkpoint import Checkpoint
from tests.hostile.archives import header, padded, zipped
from tests.hostile.pictures import encoded

Target = Callable[[bytes], None]
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def _file(content: bytes, name: str = "case") -> Path:
    path = _FOLDER / name
    path.write_bytes(content)
    return path


def config(content: bytes) -> None:
    """--config, and a run's config.yaml."""
    with contextlib.suppress(InputError):
        Config.from_dict(load_yaml(_file(content)), Config()).check()


def boxes(content: bytes) -> None:
    """A file of boxes."""
    try:
        found = read_boxes(_file(content), (16, 16))
    except InputError:
        return
    assert found.masks(np.array([0]), np.zeros((1, 16, 16, 1), np.uint8)).shape == (1, 16, 16)


def model(content: bytes) -> None:
    """What a weights file says of its network; if it is accepted, the network can be laid out."""
    try:
        info = ModelInfo.from_json(content.decode("utf-8", "replace"), Path("model.json"))
        with torch.device("meta"):
            Generator.build(info.network)
    except InputError:
        pass


def safetensors(content: bytes) -> None:
    """Tensors; whatever is accepted has the size of the file."""
    try:
        tensors, _ = read_tensors(_file(content))
    except InputError:
        return
    assert sum(tensor.nbytes for tensor in tensors.values()) < len(content)


def checkpoint(content: bytes) -> None:
    """A checkpoint with any words in it."""
    with contextlib.suppress(InputError):
        Checkpoint.load(_file(save({}, {"checkpoint": content.decode("latin-1")})))


def idx(content: bytes) -> None:
    """Arrays, also gzipped."""
    try:
        array = read_idx(_file(content))
    except InputError:
        return
    assert array.size <= 1032 * len(content)


def pack(content: bytes) -> None:
    """pack.json beside pixels."""
    (_FOLDER / "images.bin").write_bytes(bytes(192))
    (_FOLDER / "labels.bin").write_bytes(bytes(8))
    _file(content, "pack.json")
    found = open_pack(_FOLDER, fresh=False)
    assert found is None or found.images.size == 192


def duplicates(content: bytes) -> None:
    """What is kept of a search for duplicates."""
    try:
        found = Duplicates.from_json(content.decode("utf-8", "replace"))
    except (ValueError, KeyError, TypeError):
        return
    assert all(0 <= row < found.images for row in found.left_out)


def archive_tar(content: bytes) -> None:
    """Members of a tar, compressed or not."""
    try:
        for item in tar_source(_file(content)).items():
            _load(item.load)
    except (InputError, *UNREADABLE):
        pass


def archive_zip(content: bytes) -> None:
    """Members of a zip."""
    try:
        for item in zip_source(_file(content)).items():
            _load(item.load)
    except (InputError, ValueError, *UNREADABLE):
        pass


def picture(content: bytes) -> None:
    """A picture; what is decoded has the size that was asked for."""
    _load(lambda: open_image(content))


def _load(load: Callable[[], Image.Image]) -> None:
    with contextlib.suppress(BadImage), quiet_pillow(), load() as image:
        height, width = upright_size(image)
        assert min(height, width) > 0
        assert decode(image, (4, 6), 3).shape == (4, 6, 3)


def pickles(content: bytes) -> None:
    """Pickles, taken apart."""
    with contextlib.suppress(NotInert):
        inert(io.BytesIO(content))


def weights(content: bytes) -> None:
    """Files of torch.save."""
    try:
        tensors = load_weights(_file(content))
    except InputError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())


def lsun(content: bytes) -> None:
    """Values in an LMDB file; each lies in the file."""
    _file(content, "data.mdb")
    try:
        for place in open_database(_FOLDER).places():
            assert 0 < place.offset + place.length <= len(content)
    except (DamagedDatabase, InputError):
        pass


def words(content: bytes) -> None:
    """JSON: what is accepted is what Python's own reader makes of it."""
    text = content.decode("utf-8", "replace")
    try:
        value = parse_json(text)
    except ValueError:
        return
    assert value == json.loads(text)


TARGETS: dict[str, Target] = {
    "config": config,
    "boxes": boxes,
    "model": model,
    "safetensors": safetensors,
    "checkpoint": checkpoint,
    "idx": idx,
    "pack": pack,
    "duplicates": duplicates,
    "archive_tar": archive_tar,
    "archive_zip": archive_zip,
    "picture": picture,
    "pickles": pickles,
    "weights": weights,
    "lsun": lsun,
    "json": words,
}


def seeds(target: str) -> list[bytes]:
    """Whole inputs to begin from."""
    network = {"family": "strided", "image_size": "16", "channels": "1", "width": 4, "latent_dim": 6}
    described = json.dumps({"format": "dcgan-model-1", "network": network, "class_names": [], "trained": {}}).encode()
    member = header(size=b"%011o\0" % 8) + padded(b"12345678") + bytes(1024)
    buffer, old = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.arange(3.0)}, buffer)
    torch.save({"w": torch.arange(3.0)}, old, _use_new_zipfile_serialization=False)
    box = {"sample": 0, "top": 1, "left": 2, "height": 3, "width": 4}
    facts = {"format": 1, "shape": [1, 8, 8, 3], "class_names": ["a"], "skipped": [], "upscaled": 0, "source": "x"}
    position = {"step": 1, "images": 2, "seconds": 3.5}
    plain = {"format": "dcgan-checkpoint-1", "sha256": "", "position": position, "place": {}, "counters": {}}
    pictures = [encoded(format, 6) for format in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WebP")]
    return {
        "config": [b"preset: fast\nnetwork: {width: 8, image_size: 16x32}\ntraining:\n  lr: 2e-4\n"],
        "boxes": [json.dumps({"format": "dcgan-boxes-1", "seed": 0, "boxes": [box]}).encode()],
        "model": [described],
        "safetensors": [save({"a": torch.zeros(2, 3), "b": torch.zeros((), dtype=torch.int64)}, {"dcgan": "x"})],
        "checkpoint": [json.dumps(plain | {"settings": {}}).encode()],
        "idx": [b"\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02abcd", gzip.compress(b"\0\0\x08\x01\0\0\0\x04abcd")],
        "pack": [json.dumps(facts).encode()],
        "duplicates": [json.dumps({"images": 4, "groups": [[[0, 1], [1.0, 0.95], [0, 3]]]}).encode()],
        "archive_tar": [
            member,
            gzip.compress(member),
            header(kind=b"x", size=b"%011o\0" % 14) + padded(b"14 path=b.png\n"),
        ],
        "archive_zip": [zipped({"a.png": pictures[0]}), zipped({"b/a.gif": pictures[2]}, 8)],
        "picture": [*pictures, encoded("JPEG", 6, progressive=True)],
        "pickles": [b"\x80\x04}q\x00(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00b]q\x01(K\x02K\x03eu."],
        "weights": [buffer.getvalue(), old.getvalue()],
        "lsun": [],
        "json": [b'{"a": [1, 2.5, null, true, "x"], "b": {}}'],
    }[target]
