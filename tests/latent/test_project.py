"""Pictures to latents: a generator's own samples come back, z stays likely, and everything is repeatable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.config import Config
from dcgan.errors import InputError
from dcgan.latent.project import CANDIDATES, mean_squares, project, read_picture
from dcgan.latents import latents
from dcgan.networks.discriminators import features_of
from dcgan.pretrained import Discriminator, Generator, ModelInfo, class_labels

DIM = 8
BOUND = 1e-4
"""Mean squared error of pixels in [0, 1] that a found sample of the generator's own may have."""
CLASSES = {"conditional": True, "classes": 3}
KINDS: list[dict[str, Any]] = [
    {},
    {"latent": "uniform"},
    {"norm_stats": "batch", "projection_norm": "unit", "norm_eps": 1e-8},
    CLASSES,
    {"norm_stats": "batch", **CLASSES},
]


def trained(cls: Any, **settings: object) -> Any:
    """A network whose running statistics are no longer the initial ones."""
    torch.manual_seed(0)
    network = Config().replace(**{"image_size": 16, "channels": 1, "width": 8, "latent_dim": DIM} | settings).network
    made = cls.build(network)
    for name, tensor in made.state_dict().items():
        if tensor.is_floating_point():
            tensor.add_(torch.rand_like(tensor) if "running_var" in name else torch.randn_like(tensor) * 0.1)
    return cls(made, ModelInfo(network)).eval()


def own_sample(generator: Generator, number: int) -> tuple[np.ndarray, torch.Tensor, int | None]:
    config = generator.info.network
    z = latents(1, DIM, 99, number, config.latent)
    labels = class_labels(config.classes, 1, number)
    return generator.draw(z, labels)[0], z[0], None if labels is None else int(labels[0])


@pytest.mark.parametrize("settings", KINDS)
def test_own_samples_are_found(settings: dict[str, Any]) -> None:
    generator = trained(Generator, **settings)
    for number in (2, 4):
        picture, z, label = own_sample(generator, number)
        found = project(generator, picture, seed=1, restarts=6, steps=250)
        assert found.errors[0] < BOUND
        assert found.errors[0] < found.baseline / 20
        assert (found.z[0] - z).norm() < 0.2 * z.norm()
        if label is not None:
            assert found.labels is not None
            assert int(found.labels[0]) == label


def test_the_numbers_are_of_the_drawings() -> None:
    generator = trained(Generator)
    picture = own_sample(generator, 0)[0]
    found = project(generator, picture, restarts=4, steps=20, seed=3)
    drawn = generator.draw(found.z)
    assert np.array_equal(found.images, drawn)
    errors = ((drawn.astype(np.float64) / 255 - picture / 255.0) ** 2).reshape(4, -1).mean(1)
    assert found.errors == pytest.approx(errors, rel=1e-5)
    assert (np.diff(found.errors) >= 0).all()
    samples = generator.sample(CANDIDATES, seed=3).astype(np.float64) / 255
    assert found.baseline == pytest.approx(((samples - picture / 255.0) ** 2).mean((1, 2, 3)).min(), rel=1e-5)
    assert found.errors[0] <= found.baseline + 1e-5


def test_without_steps_the_nearest_samples_are_left() -> None:
    generator = trained(Generator, **CLASSES)
    picture = own_sample(generator, 1)[0]
    found = project(generator, picture, restarts=3, steps=0, seed=3)
    nearest = np.argsort(mean_squares(generator.sample(CANDIDATES, seed=3), picture), kind="stable")[:3]
    assert torch.equal(found.z, latents(CANDIDATES, DIM, 3)[nearest])
    assert found.labels is not None
    assert found.labels.tolist() == [int(n) % 3 for n in nearest]
    asked = project(generator, picture, restarts=3, steps=0, seed=3, label=2)
    assert asked.labels is not None
    assert asked.labels.tolist() == [2, 2, 2]


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_z_stays_likely(distribution: str) -> None:
    """Even of a picture that the generator cannot draw."""
    generator = trained(Generator, latent=distribution)
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 1)).astype(np.uint8)
    found = project(generator, picture, steps=60, rate=1.0)
    if distribution == "uniform":
        assert found.z.abs().max() <= 1
    else:
        lengths = found.z.norm(dim=1)
        assert (lengths <= (DIM - 0.5) ** 0.5 + 1.4001).all()
        assert (lengths >= (DIM - 0.5) ** 0.5 - 1.4001).all()


def test_the_same_seed_finds_the_same() -> None:
    generator = trained(Generator)
    picture = own_sample(generator, 0)[0]
    before = torch.get_rng_state()
    one, other = (project(generator, picture, steps=20, seed=5) for _ in range(2))
    assert torch.equal(one.z, other.z)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert not torch.equal(one.z, project(generator, picture, steps=20, seed=6).z)


def test_a_restart_does_not_know_of_others() -> None:
    """With batch statistics either: the nearest sample leads to the same z alone and among eight."""
    for settings in KINDS:
        generator = trained(Generator, **settings)
        picture = own_sample(generator, 3)[0]
        alone, among = (project(generator, picture, steps=5, restarts=n) for n in (1, 8))
        assert any(torch.allclose(alone.z[0], z, atol=1e-3) for z in among.z)


@pytest.mark.parametrize("settings", [{}, {"discriminator_norm": "none"}, *KINDS[2:]])
def test_features_are_those_before_the_logit(settings: dict[str, Any]) -> None:
    discriminator = trained(Discriminator, **settings)
    images = torch.rand(6, 1, 16, 16) * 2 - 1
    labels = torch.arange(6) % 3 if discriminator.info.network.classes else None
    features = features_of(discriminator.network, images, labels)
    layer = discriminator.network.to_logit
    logits = torch.nn.functional.linear(features, layer.weight, layer.bias).squeeze(1)
    if discriminator.network.embed is None:
        assert torch.allclose(logits, discriminator(images, labels), atol=1e-5)
    assert features.shape == (6, layer.in_features)


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_the_loss_is_of_pixels_and_of_features_relative_to_the_pictures_own(
    weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each restart descends, written out; with running statistics D needs no company."""
    generator, discriminator = trained(Generator), trained(Discriminator)
    losses = list[Callable[[torch.Tensor], torch.Tensor]]()

    def stay(_: Generator, z: torch.Tensor, labels: torch.Tensor | None, loss: Any, *rest: Any) -> torch.Tensor:
        losses.append(loss)
        return z

    monkeypatch.setattr("dcgan.latent.project._descend", stay)
    picture = own_sample(generator, 1)[0]
    project(generator, picture, discriminator=discriminator, features=weight, restarts=3)
    images = torch.rand(3, 1, 16, 16) * 2 - 1
    target = torch.tensor(picture).permute(2, 0, 1)[None] / 127.5 - 1
    own, theirs = (features_of(discriminator.network, x, None).double() for x in (target, images))
    of_pixels = ((images - target) / 2).double().square().flatten(1).mean(1)
    relative = (theirs - own).square().mean(1) / own.square().mean()
    torch.testing.assert_close(losses[0](images).double(), of_pixels + weight * relative, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("settings", KINDS)
def test_features_lead_to_own_samples_too(settings: dict[str, Any]) -> None:
    generator, discriminator = trained(Generator, **settings), trained(Discriminator, **settings)
    picture = own_sample(generator, 2)[0]
    plain = project(generator, picture, steps=60)
    found = project(generator, picture, discriminator=discriminator, features=0.1, steps=60)
    assert not torch.equal(found.z, plain.z)
    assert found.errors[0] < found.baseline / 5


def test_a_picture_is_prepared_as_training_images_are(tmp_path: Path) -> None:
    network = Config().replace(image_size="16x20", channels=1).network
    Image.new("RGB", (200, 80), (255, 0, 0)).save(tmp_path / "red.jpg")
    picture = read_picture(tmp_path / "red.jpg", network)
    assert picture.shape == (16, 20, 1)
    assert np.abs(picture.astype(int) - 76).max() <= 1  # 0.299 · 255
    (tmp_path / "x.png").write_text("no picture")
    for name, said in (("x.png", "x.png: not a picture"), ("none.png", "none.png: cannot be read")):
        with pytest.raises(InputError, match=said):
            read_picture(tmp_path / name, network)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"restarts": 0}, "0 restarts"),
        ({"restarts": 1001}, "1001 restarts"),
        ({"steps": -1}, "-1 steps"),
        ({"rate": 0.0}, "rate 0"),
        ({"features": float("nan")}, "features nan"),
        ({"features": 1.0}, "wants the run's discriminator"),
        ({"seed": 2**63}, "seed"),
        ({"label": 0}, "no class 0; this generator has 0"),
    ],
)
def test_wrong_values(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        project(trained(Generator), np.zeros((16, 16, 1), np.uint8), **wrong)


def test_a_picture_of_another_size() -> None:
    with pytest.raises(InputError, match=r"\(16, 20, 1\); wants \(16, 16, 1\)"):
        project(trained(Generator), np.zeros((16, 20, 1), np.uint8))


def test_a_class_that_is_not_there() -> None:
    generator = trained(Generator, conditional=True, classes=3)
    for label in (3, -1):
        with pytest.raises(InputError, match=f"no class {label}; this generator has 3"):
            project(generator, np.zeros((16, 16, 1), np.uint8), label=label)
