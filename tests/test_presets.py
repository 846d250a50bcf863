"""The recipes, against the numbers of their sources written out once more."""

import contextlib

import pytest

from dcgan.cli import train as train_command
from dcgan.config import Config
from dcgan.errors import InputError
from dcgan.presets import PRESETS, changes, command, load_preset

BLOG = {  # the post's argument parser, networks and loop
    "family": "blog",
    "image_size": "32",
    "channels": "auto",
    "latent_dim": 100,
    "latent": "normal",
    "norm_eps": 0.8,
    "norm_stats": "running",
    "norm_affine": True,
    "resample": "bilinear",
    "flip": False,
    "batch_size": 64,
    "partial_batches": True,
    "n_epochs": 200,
    "lr": 0.0002,
    "lr_d": None,
    "beta1": 0.5,
    "beta2": 0.999,
    "weight_decay": 0.0,
    "lr_decay": "none",
    "loss": "bce",
    "d_loss_reduction": "mean",
    "label_smoothing": 0.0,
    "updates": "joint",
    "d_steps": 1,
    "ema": 0.0,
    "r1": 0.0,
    "augment": "none",
    "sample_interval": 400,
    "batch_names": True,
}
AUTHORS = {  # common to the released scripts
    "latent_dim": 100,
    "latent": "uniform",
    "kernel_size": 5,
    "conv_bias": False,
    "norm_stats": "batch",
    "norm_eps": 1e-8,
    "norm_affine": True,
    "projection_norm": "unit",
    "discriminator_norm": "batch",
    "conditional": False,
    "flip": False,
    "partial_batches": False,
    "batch_size": 128,
    "lr": 0.0002,
    "lr_d": None,
    "lr_decay": "none",
    "beta1": 0.5,
    "beta2": 0.999,
    "loss": "bce",
    "d_loss_reduction": "sum",
    "label_smoothing": 0.0,
    "updates": "alternate",
    "d_steps": 1,
    "ema": 0.0,
    "r1": 0.0,
    "augment": "none",
}
SOURCES = {
    "blog": BLOG,
    "paper": AUTHORS | {"family": "strided", "image_size": "64", "width": 128, "weight_decay": 0.00001, "n_epochs": 25},
    "paper-mnist": AUTHORS
    | {
        "family": "mnist",
        "image_size": "28",
        "channels": "1",
        "width": 64,
        "conditional": True,
        "norm_affine": False,
        "weight_decay": 0.000025,
        "n_epochs": 200,  # 100 at the full rate and 100 with linear decay
        "lr_decay": "linear",
        "lr_decay_start": 0.5,
    },
    "paper-imagenet32": AUTHORS
    | {
        "family": "imagenet32",
        "image_size": "32",
        "channels": "3",
        "kernel_size": 3,
        "width": 128,
        "latent_dim": 256,
    },
    "paper-svhn": AUTHORS
    | {
        "family": "strided",
        "image_size": "32",
        "channels": "3",
        "width": 64,
        "latent": "normal",
        "lr": 0.0005,
        "batch_size": 64,
        "n_epochs": 200,
    },
}


@pytest.mark.parametrize("name", SOURCES)
def test_recipe_agrees_with_its_source(name):
    flat = load_preset(name).flat()
    assert {k: flat[k] for k in SOURCES[name]} == SOURCES[name]


def test_every_recipe_is_checked_here():
    assert set(PRESETS) == {"fast", *SOURCES}


def test_fast_is_the_default():
    assert load_preset("fast") == Config()


@pytest.mark.parametrize("name", PRESETS)
def test_recipes_are_valid_and_know_their_names(name):
    config = load_preset(name)
    config.check()
    assert config.preset == name


@pytest.mark.parametrize(("name", "hint"), [("papr", "did you mean 'paper'?"), ("xyz", "(there are: fast, blog, ")])
def test_unknown_recipe_names_the_nearest(name, hint):
    with pytest.raises(InputError, match=f"no preset {name!r}") as caught:
        load_preset(name)
    assert hint in str(caught.value)
    assert all(known in str(caught.value) for known in PRESETS)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_command_of_settings_gives_them_back(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the very parser of `dcgan train`."""
    changed = {
        "data": "my photos",
        "flip": True,
        "lr": 1e-3,
        "lr_d": None,
        "norm_affine": False,
        "minutes": 2.5,
        "seed": 7,
    }
    config = load_preset(preset).replace(**changed)
    words = command(config)
    assert words[:5] == ["dcgan", "train", "my photos", "--preset", preset]
    started: list[Config] = []

    def start(config: Config, *_: object) -> None:
        started.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_command, "start_run", start)
    with contextlib.suppress(KeyboardInterrupt):
        train_command.run(words[2:])
    assert started == [config]


def test_changes_are_what_the_preset_has_not() -> None:
    assert changes(load_preset("blog")) == {"n_epochs": (200, 200)}
    assert changes(load_preset("fast").replace(width=9, minutes=1)) == {"width": (9, 24), "minutes": (1.0, None)}
