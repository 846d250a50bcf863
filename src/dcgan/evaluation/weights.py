"""The weights files of the extractors: found on disk, or downloaded where their authors publish them.

They are of torch.save, whose files have a pickle inside, because that is how they are published; it is never loaded
(`torchfile`), so that a file can be wrong but not run a program.
"""

from __future__ import annotations

import hashlib
import os
import socket
import urllib.error
from pathlib import Path

import torch

from dcgan.data.download import DOWNLOAD_TIMEOUT
from dcgan.errors import InputError, printable
from dcgan.evaluation.torchfile import read_torch_file
from dcgan.reading import at_home

INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)
DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth"
PUBLISHED = {url.rpartition("/")[2] for url in (INCEPTION_URL, DINOV2_URL)}
"""Names by which a file says whose it is."""
Tensors = dict[str, torch.Tensor]


def find_weights(url: str, given: Path | None = None) -> Path | None:
    """The file that is at hand: `given`, else that of `$DCGAN_WEIGHTS`, else torch hub's; None if there is none.

    What is given is a file, or a folder that has it by its published name. The environment's may be another
    extractor's, by its name or in its folder. Raises InputError if what is given is not there.
    """
    name = url.rpartition("/")[2]
    for place, said in ((given, "weights"), (os.environ.get("DCGAN_WEIGHTS"), "$DCGAN_WEIGHTS")):
        if not place:
            continue
        path = at_home(place)
        file = path / name if path.is_dir() else path
        if not given and file.name in PUBLISHED - {name}:
            continue
        if file.is_file():
            return file
        if given or not path.is_dir():
            raise InputError(f"{said}: there is no file {printable(file)}; it is to be {name} from {url}")
    kept = Path(torch.hub.get_dir()) / "checkpoints" / name
    return kept if kept.is_file() else None


def fetch_weights(url: str) -> Path:
    """Download a weights file to where torch hub keeps such files. Raises InputError with what to do if it fails."""
    name = url.rpartition("/")[2]
    target = Path(torch.hub.get_dir()) / "checkpoints" / name
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), _hash_in(name))
    except (OSError, RuntimeError, urllib.error.URLError) as error:
        raise InputError(
            f"{name} could not be downloaded ({error}). Get it from {url} and name it by --weights or "
            "$DCGAN_WEIGHTS, or take --extractor classifier, which needs no download but labelled images"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return target


def load_weights(path: Path) -> Tensors:
    """The tensors of a weights file by name. Raises InputError if it holds anything else."""
    try:
        return read_torch_file(path)
    except InputError as error:
        said = printable(error)
        raise InputError(said if printable(path) in said else f"{printable(path)}: {said}") from error


def digest(tensors: Tensors, recipe: str) -> str:
    """SHA-256 (hex) of the weights and of the words that say what is done with them."""
    found = hashlib.sha256(recipe.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())  # numpy has no bfloat16
    return found.hexdigest()


def _hash_in(name: str) -> str | None:
    """torch's convention: name-<first digits of the SHA-256>.pth."""
    stem = Path(name).stem.rpartition("-")[2]
    return stem if len(stem) == 8 and all(c in "0123456789abcdef" for c in stem) else None
