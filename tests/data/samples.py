"""Small data sets in every form, written for the tests of this folder."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import Any

import numpy as np
from PIL import Image

from dcgan.data.sources import find_source

RNG = np.random.default_rng(0)


def png(value=0):
    buffer = io.BytesIO()
    Image.new("L", (4, 4), value).save(buffer, "PNG")
    return buffer.getvalue()


def write_folder(root, names):
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(i))
    return root


def write_zip(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            archive.writestr(name, png(i))
    return path


def write_tar(path, names, mode="w"):
    with tarfile.open(path, mode) as archive:
        for i, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = len(png(i))
            archive.addfile(member, io.BytesIO(png(i)))
    return path


def values(source):
    """The first pixel of every picture, by name."""
    return {item.name: np.asarray(item.load())[0, 0] for item in source.items()}


def noise(height, width, *channels):
    """Pixels at random, the same in every call."""
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def idx(array):
    """An array as the bytes of an IDX file."""
    shape = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return (0x800 | array.ndim).to_bytes(4, "big") + shape + array.tobytes()


def write_idx(folder, split="train", n=6, labels=True, zipped=True, joint="-"):
    folder.mkdir(parents=True, exist_ok=True)
    images = RNG.integers(0, 256, (n, 4, 5), dtype=np.uint8)
    pack, end = (gzip.compress, ".gz") if zipped else (bytes, "")
    (folder / f"{split}-images{joint}idx3-ubyte{end}").write_bytes(pack(idx(images)))
    if labels:
        content = idx(np.arange(n, dtype=np.uint8) % 3)
        (folder / f"{split}-labels{joint}idx1-ubyte{end}").write_bytes(pack(content))
    return images


def encoded(pixels, format="PNG"):
    """An array as the bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


def find(*args: Any, **options: Any) -> Any:
    """`find_source`, without the type: these tests know which kind they get."""
    return find_source(*args, **options)


def write_pictures(root, n=40, shape=(8, 8, 3), classes=("a", "b")):
    """`n` noise pictures spread over class folders, and the pixels in the source's order."""
    images = RNG.integers(0, 256, (n, *shape), np.uint8)
    pixels = {f"{classes[i % len(classes)]}/{i:03}.png": image for i, image in enumerate(images)}
    for name, image in pixels.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(image))
    return np.stack([pixels[name] for name in sorted(pixels)])


def zipped(root):
    """A zip of the pictures below a folder, beside it."""
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.write(file, file.relative_to(root))
    return path


def tarred(root):
    """A gzipped tar of the pictures below a folder, beside it."""
    path = root.with_suffix(".tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.add(file, file.relative_to(root))
    return path
