"""Features on disk, written as they come, so that memory stays flat however many there are.

.npz: `features` (N, F), `labels` int64 (N,), `class_names`, and `facts`, a JSON text; uncompressed. Everybody reads it.
.safetensors: the tensors, and the rest in its header. Readers map it into memory. A name without a suffix is a folder
to make: features.npy, labels.npy and features.json; `np.load(…, mmap_mode="r")` reads them in place, however large.
None of them needs pickles to be read, and of all the size is known before the first feature, so that the header can
be written first; formats that compress or index (HDF5, Parquet) bring a package each and shrink floats little.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from dcgan.errors import InputError, printable
from dcgan.files import require_new, whole

TYPES = {"float32": ("<f4", "F32", torch.float32), "float16": ("<f2", "F16", torch.float16)}


@dataclass(frozen=True, eq=False)
class Labelled:
    """What is written beside the features."""

    shape: tuple[int, int]
    """(N, F)."""
    dtype: str
    """float32 or float16."""
    labels: np.ndarray | None
    """int64 (N,)."""
    class_names: tuple[str, ...]
    facts: dict[str, Any]
    """How the features came to be."""

    def array(self, piece: torch.Tensor) -> np.ndarray:
        """A piece of the features as it is written."""
        return np.ascontiguousarray(piece.to(TYPES[self.dtype][2]).numpy().astype(TYPES[self.dtype][0], copy=False))

    @property
    def npy_header(self) -> dict[str, Any]:
        return {"descr": TYPES[self.dtype][0], "fortran_order": False, "shape": self.shape}


def require_possible(out: Path) -> None:
    """Raise InputError if `out` exists, or if its name asks for a format that there is not."""
    require_new(out, folders=False, option="--out")
    if out.suffix.lower() not in WRITERS:
        raise InputError(f"out: {printable(out)} is neither a .npz, a .safetensors nor a folder to make")


def write_features(out: Path, pieces: Iterable[torch.Tensor], beside: Labelled) -> None:
    """Write pieces (n, F) to `out`, in the format its name asks for; it is whole or absent.

    Raises InputError if `require_possible` does, or if it cannot be written.
    """
    require_possible(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole(out) as partial:
            WRITERS[out.suffix.lower()](partial, pieces, beside)
    except OSError as error:
        raise InputError(f"{printable(out)}: cannot be written ({error.strerror})") from error


def _write_all(file: IO[bytes], pieces: Iterable[torch.Tensor], beside: Labelled) -> None:
    for piece in pieces:
        file.write(beside.array(piece).data)


def _write_npz(path: Path, pieces: Iterable[torch.Tensor], beside: Labelled) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("features.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_2_0(file, beside.npy_header)
            _write_all(file, pieces, beside)
        small = {"class_names": np.array(beside.class_names, str), "facts": np.array(json.dumps(beside.facts))}
        if beside.labels is not None:
            small["labels"] = beside.labels
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.save(file, array, allow_pickle=False)


def _write_safetensors(path: Path, pieces: Iterable[torch.Tensor], beside: Labelled) -> None:
    """Its format: the header's length as 8 bytes, the header as JSON, then the tensors one after the other."""
    size = np.dtype(TYPES[beside.dtype][0]).itemsize * beside.shape[0] * beside.shape[1]
    text = {"class_names": json.dumps(beside.class_names), "facts": json.dumps(beside.facts)}
    header: dict[str, Any] = {
        "__metadata__": text,
        "features": {"dtype": TYPES[beside.dtype][1], "shape": list(beside.shape), "data_offsets": [0, size]},
    }
    if beside.labels is not None:
        ends = [size, size + 8 * len(beside.labels)]
        header["labels"] = {"dtype": "I64", "shape": [len(beside.labels)], "data_offsets": ends}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        _write_all(file, pieces, beside)
        if beside.labels is not None:
            file.write(beside.labels.astype("<i8").data)


def _write_folder(path: Path, pieces: Iterable[torch.Tensor], beside: Labelled) -> None:
    path.mkdir()
    with (path / "features.npy").open("wb") as file:
        np.lib.format.write_array_header_2_0(file, beside.npy_header)
        _write_all(file, pieces, beside)
    if beside.labels is not None:
        np.save(path / "labels.npy", beside.labels, allow_pickle=False)
    facts = {"class_names": beside.class_names, **beside.facts}
    (path / "features.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")


WRITERS = {".npz": _write_npz, ".safetensors": _write_safetensors, "": _write_folder}
