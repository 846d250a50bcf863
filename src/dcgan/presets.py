"""The named recipes, as what each changes from the defaults of `config.py` (which are `fast`).

Sources: the blog post; the paper (arXiv 1511.06434, section 4) and, where it is silent, the authors'
released Theano code: alternating updates, the sum of D's two losses, L2 on the gradients, batch norm
with eps 1e-8 that always uses the batch's statistics, and one norm a unit after the projection.
"""

from __future__ import annotations

from typing import Any

from dcgan.config import LENGTHS, Config
from dcgan.errors import InputError, last_name, nearest

_PLAIN: dict[str, Any] = {"loss": "bce", "label_smoothing": 0.0, "lr_d": None, "r1": 0.0, "augment": "none"}

_AUTHORS: dict[str, Any] = {
    **_PLAIN,
    "kernel_size": 5,
    "norm_stats": "batch",
    "norm_eps": 1e-8,
    "projection_norm": "unit",
    "latent": "uniform",
    "batch_size": 128,
    "lr": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "d_loss_reduction": "sum",
    "updates": "alternate",
    "ema": 0.0,
}

PRESETS: dict[str, dict[str, Any]] = {
    # Ours and the default: the paper's guidelines, tuned for good images soon.
    "fast": {},
    # The blog post, quirks included.
    "blog": {
        **_PLAIN,
        "family": "blog",
        "image_size": "32",
        "resample": "bilinear",
        "norm_eps": 0.8,
        "batch_size": 64,
        "partial_batches": True,
        "lr": 2e-4,
        "beta1": 0.5,
        "beta2": 0.999,
        "ema": 0.0,
        "sample_interval": 400,
        "batch_names": True,
        "n_epochs": 200,
    },
    # The paper's 64×64 networks (faces; section 4.2), 18.9 M + 17.2 M parameters.
    "paper": {**_AUTHORS, "image_size": "64", "width": 128, "weight_decay": 1e-5, "n_epochs": 25},
    # The authors' class-conditional MNIST networks (section 4 and Table 3).
    "paper-mnist": {
        **_AUTHORS,
        "family": "mnist",
        "image_size": "28",
        "channels": "1",
        "width": 64,
        "conditional": True,
        "norm_affine": False,
        "weight_decay": 2.5e-5,
        "lr_decay": "linear",
        "lr_decay_start": 0.5,
        "n_epochs": 200,
    },
    # The authors' ImageNet-1k networks at 32×32, whose D gives the 28,672 features of Table 1.
    "paper-imagenet32": {
        **_AUTHORS,
        "family": "imagenet32",
        "kernel_size": 3,
        "image_size": "32",
        "channels": "3",
        "width": 128,
        "latent_dim": 256,
        "weight_decay": 1e-5,
        "n_epochs": 100,
    },
    # The authors' SVHN networks (Table 2), the ones whose weights they released.
    "paper-svhn": {
        **_AUTHORS,
        "image_size": "32",
        "channels": "3",
        "width": 64,
        "latent": "normal",
        "lr": 5e-4,
        "batch_size": 64,
        "weight_decay": 1e-5,
        "n_epochs": 200,
    },
}

DEFAULT_MINUTES = 10.0
"""Length of a training whose preset and caller name none."""


def load_preset(name: str) -> Config:
    """The settings of a recipe; InputError names the nearest one if there is none of that name."""
    if name not in PRESETS:
        raise InputError(f"no preset {name!r}{nearest(name, PRESETS)} (there are: {', '.join(PRESETS)})")
    return Config(preset=name).replace(**PRESETS[name])


def changes(config: Config) -> dict[str, tuple[Any, Any]]:
    """Each setting that is not its preset's: its value, and the preset's; the length is always among them."""
    usual = load_preset(config.preset).flat()
    return {
        name: (value, usual[name])
        for name, value in config.flat().items()
        if value != usual[name] or (name in LENGTHS and value is not None)
    }


IMPORTED = "trained by the authors of the paper, imported from their weights"
"""How the description of the data of such a run ends."""


def imported(source: object) -> bool:
    """Whether this describes the data of a run that was not trained here; see `IMPORTED`."""
    return str(source).endswith(IMPORTED)


def again(config: Config, source: object) -> list[str]:
    """The command that makes such a run anew, without folders; `source`: the description of its data."""
    if imported(source):
        return ["dcgan", "import-authors", "FOLDER", "--out", "RUN"]
    return command(config.replace(data=last_name(config.data.data), data_root=""))


def command(config: Config) -> list[str]:
    """`dcgan train …` with these settings, word by word; the data as the settings have it."""
    words = ["dcgan", "train", *([config.data.data] if config.data.data else []), "--preset", config.preset]
    for name, (value, _) in changes(config).items():
        option = name.replace("_", "-")
        if name in ("data", "classes") or (name in LENGTHS and value is None):
            continue  # the data come first, and say how many classes there are
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", str(value)]
    return words
