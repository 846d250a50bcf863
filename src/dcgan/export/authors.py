"""The DCGAN authors' released networks as a run directory.

They come as one `.npy` a tensor, numbered in the order in which the authors' functions take them: G has
(matrix, gain, bias), (kernel, gain, bias) for each layer between, and the last kernel; D the first kernel,
(kernel, gain, bias) for each layer between, and the last matrix. That is the order of our own state dicts too.
"""

from __future__ import annotations

import copy
import math
import re
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

import dcgan
from dcgan.config import Config
from dcgan.errors import InputError, printable
from dcgan.latents import BLOCK, latents
from dcgan.presets import IMPORTED, load_preset
from dcgan.pretrained import Discriminator, Generator, ModelInfo
from dcgan.reading import LARGEST_TENSORS, open_regular
from dcgan.run import Run

NAME = re.compile(r"(?:\d+_)?(gen|discrim)(?:_params\.jl)?_(\d{2})\.npy")
"""gen_01.npy, or as in the authors' repository: 200_gen_params.jl_01.npy."""

NETS = {5: ("paper-svhn", "svhn"), 3: ("paper-imagenet32", "")}
"""Side of the kernels → preset, and the data set of that name if we know it by one."""

LOOKED_AT = 1024
"""Images in each mean of D's outputs."""

Turn = Callable[[torch.Tensor], torch.Tensor]
Files = dict[tuple[str, int], Path]


@dataclass(frozen=True)
class Outputs:
    """Means of sigmoid(D) over 1,024 images in batches of 64, as D sees them in training."""

    own: float
    """On samples of the G it was trained against."""
    noise: float
    """On pixels uniform on [-1, 1]."""


@dataclass(frozen=True)
class Imported:
    """What an import has made, and what its D says."""

    run: Run
    config: Config
    outputs: Outputs
    unflipped: Outputs
    """The same with D's kernels not flipped, which is not what the authors' code computes."""


def import_authors(folder: str | Path, out: str | Path) -> Imported:
    """Read the authors' tensors from a folder and write the run directory `out`, which every command takes.

    Raises InputError, before anything is written, for a file that is missing, superfluous, damaged, of the wrong
    shape, or no array of numbers; and if there is something at `out`.
    """
    folder, out = Path(folder), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{printable(out)}: exists already; name another --out")
    files = find_tensors(folder)
    config, data = _config(folder, files)
    generator, discriminator = _read(Generator, "gen", config, files), _read(Discriminator, "discrim", config, files)
    trained = {
        "preset": config.preset,
        "data": f"{data or 'ImageNet-1k at 32x32'}: {IMPORTED}",
        "dcgan": dcgan.__version__,
    }
    own, noise = _looked_at(generator, config)  # the slow part: an interrupt in it leaves nothing behind
    mirrored = copy.deepcopy(discriminator)
    flip_kernels(mirrored)
    outputs, unflipped = _outputs(discriminator, own, noise), _outputs(mirrored, own, noise)
    info = ModelInfo(config.network, trained=trained)
    source = {"source": trained["data"], "shape": [*config.network.size, config.network.image_channels]}
    run = Run.create(out, config, source | {"class_names": [], "skipped": []})
    try:
        Generator(generator, info).save_pretrained(out)
        Discriminator(discriminator, info).save_pretrained(out)
    except OSError as error:
        raise InputError(f"{printable(out)}: cannot be written ({error.strerror})") from error
    return Imported(run, config, outputs, unflipped)


def find_tensors(folder: Path) -> Files:
    """The tensors' files by network, "gen" or "discrim", and number. Files other than .npy are never opened."""
    if not folder.is_dir():
        raise InputError(f"{printable(folder)}: no such folder; it is to hold gen_01.npy …, discrim_01.npy …")
    files: Files = {}
    for path in sorted(folder.glob("*.npy")):
        match = NAME.fullmatch(path.name)
        if match is None:
            raise InputError(f"{printable(path)}: not one of the tensors gen_01.npy …, discrim_01.npy …; move it away")
        key = match[1], int(match[2])
        if key in files:
            raise InputError(f"{printable(path)}: is the same tensor as {printable(files[key].name)}; move one away")
        files[key] = path
    return files


def _config(folder: Path, files: Files) -> tuple[Config, str]:
    """Which of the authors' nets it is, how wide, and the name of its data; by the first shapes."""
    for side in ("gen", "discrim"):
        if (side, 1) not in files:
            raise InputError(
                f"{printable(folder)}: no {side}_01.npy in it; it is to hold gen_01.npy …, discrim_01.npy …"
            )
    kernel, matrix = _shape(files["discrim", 1]), _shape(files["gen", 1])
    if len(kernel) != 4 or kernel[2:] not in ((5, 5), (3, 3)) or kernel[1] not in (1, 3, 4):
        raise InputError(
            f"{printable(files['discrim', 1])}: has shape {kernel}; expected kernels (maps, channels, 5, 5) "
            "of the SVHN net or (maps, channels, 3, 3) of the ImageNet net"
        )
    if len(matrix) != 2:
        raise InputError(f"{printable(files['gen', 1])}: has shape {matrix}; expected a matrix (latents, units)")
    preset, data = NETS[kernel[2]]
    config = load_preset(preset).replace(width=kernel[0], channels=kernel[1], latent_dim=matrix[0], data=data)
    config.check()
    return config, data


def _read(cls: type[Generator] | type[Discriminator], side: str, config: Config, files: Files) -> nn.Module:
    """One network with the authors' tensors in it."""
    with torch.device("meta"):  # nothing is allocated before every header has the right shape
        network = cls.build(config.network)
    names = list(network.state_dict())
    for number in range(1, len(names) + 1):
        if (side, number) not in files:
            folder = printable(next(iter(files.values())).parent)
            raise InputError(
                f"{folder}: no {side}_{number:02d}.npy in it; {side}_01 to {side}_{len(names):02d} expected"
            )
    extra = sorted(number for which, number in files if which == side and not 1 <= number <= len(names))
    if extra:
        raise InputError(
            f"{printable(files[side, extra[0]])}: one tensor too many; the net of {config.preset} has {len(names)} here"
        )
    turns = {name: _turn(network, name, transposed=side == "gen") for name in names}
    paths = {name: files[side, number] for number, name in enumerate(names, 1)}
    for name, tensor in network.state_dict().items():
        expected = tuple(turns[name](tensor).shape)  # each turn undoes itself
        if _shape(paths[name]) != expected:
            raise InputError(f"{printable(paths[name])}: has shape {_shape(paths[name])}; expected {expected}")
    network.load_state_dict({name: turns[name](_load(paths[name])).contiguous() for name in names}, assign=True)
    return network.eval()


def _turn(network: nn.Module, name: str, transposed: bool) -> Turn:
    """From a tensor as the authors hold it to ours, and back.

    Theano convolves, where PyTorch correlates: kernels are mirrored in both axes, and so are those of G, whose
    layers are gradients of convolutions. Its layers without a stride are such gradients too; ours are convolutions,
    whose kernels are those of the gradients with their maps exchanged, and mirrored once more, so not at all.
    """
    layer = network.get_submodule(name.rpartition(".")[0])
    if isinstance(layer, nn.Linear):
        return lambda tensor: tensor.t()
    if isinstance(layer, nn.Conv2d) and transposed:
        return lambda tensor: tensor.transpose(0, 1)
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        return lambda tensor: tensor.flip(2, 3)
    return lambda tensor: tensor


def flip_kernels(network: nn.Module) -> None:
    """Mirror every convolution's kernels in both axes, in place."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight = nn.Parameter(module.weight.detach().flip(2, 3))


def _shape(path: Path) -> tuple[int, ...]:
    """Of the array in a file, by its header alone; InputError unless the file is one whole array of numbers."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        with open_regular(path, LARGEST_TENSORS) as file:
            shape, _, kind = readers[np.lib.format.read_magic(file)](file)
            stored = path.stat().st_size - file.tell()
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    except InputError:
        raise
    except (ValueError, KeyError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError) as error:
        raise InputError(f"{printable(path)}: damaged or not a .npy file") from error
    if kind.kind != "f":
        what = "Python objects, a pickle, which is never loaded" if kind.hasobject else f"{kind} values"
        raise InputError(f"{printable(path)}: holds {what}; expected float32 numbers")
    if stored != math.prod(shape) * kind.itemsize:
        raise InputError(f"{printable(path)}: damaged: {stored:,} bytes of numbers where shape {shape} has others")
    return shape


def _load(path: Path) -> torch.Tensor:
    """The array of a file whose header is right, as float32."""
    array = np.ascontiguousarray(np.load(path, allow_pickle=False), dtype=np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{printable(path)}: holds numbers that are NaN or infinite")
    return torch.from_numpy(array)


@torch.inference_mode()
def _looked_at(generator: nn.Module, config: Config) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples of G, and as many images of uniform noise: (LOOKED_AT, C, H, W) each."""
    network, starts = config.network, range(0, LOOKED_AT, BLOCK)
    own = torch.cat([generator(latents(BLOCK, network.latent_dim, 0, start, network.latent)) for start in starts])
    return own, torch.rand(own.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@torch.inference_mode()
def _outputs(discriminator: nn.Module, own: torch.Tensor, noise: torch.Tensor) -> Outputs:
    means = [torch.cat([discriminator(piece).sigmoid() for piece in images.split(BLOCK)]) for images in (own, noise)]
    return Outputs(*(mean.mean().item() for mean in means))
