from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dcgan.errors import InputError
from dcgan.features.extract import FeatureExtractor, feature_extractor
from dcgan.features.statistics import fix_statistics, needs_statistics
from dcgan.pretrained import Discriminator
from tests.features.conftest import discriminator, random_images

FAMILIES = [
    ("fast", {"image_size": "20x28", "channels": 3, "width": 4}),
    ("fast", {"image_size": 32, "channels": 1, "width": 4, "kernel_size": 5, "conv_bias": True}),
    ("fast", {"image_size": 16, "channels": 1, "width": 4, "discriminator_norm": "none"}),
    ("fast", {"image_size": 16, "channels": 1, "width": 4, "discriminator_norm": "spectral"}),
    ("fast", {"image_size": 16, "channels": 1, "width": 4, "conditional": True, "classes": 3}),
    ("fast", {"image_size": 16, "channels": 1, "width": 4, "conditional": True, "classes": 3, "condition": "concat"}),
    ("paper-mnist", {"classes": 5, "width": 4, "norm_stats": "running"}),
    ("paper-imagenet32", {"width": 4, "norm_stats": "running"}),
    ("blog", {"channels": 1}),
]


def cells(side: int) -> list[slice]:
    """The four stretches of a side that are pooled: from ⌊i s / 4⌋ to ⌈(i + 1) s / 4⌉."""
    return [slice(i * side // 4, -(-(i + 1) * side // 4)) for i in range(4)]


def pooled(h: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) → (N, C·16), maximum by maximum."""
    rows = [[h[:, :, y, x].amax((2, 3)) for x in cells(h.shape[3])] for y in cells(h.shape[2])]
    return torch.stack([torch.stack(row, 2) for row in rows], 2).flatten(1)


def norm(h: torch.Tensor, weights: dict[str, torch.Tensor], name: str, eps: float) -> torch.Tensor:
    if f"{name}.running_mean" not in weights:
        return h
    wide = (None, slice(None), None, None)
    h = (h - weights[f"{name}.running_mean"][wide]) / (weights[f"{name}.running_var"][wide] + eps).sqrt()
    if f"{name}.weight" in weights:
        h = h * weights[f"{name}.weight"][wide] + weights[f"{name}.bias"][wide]
    return h


def restated(found: Discriminator, images: np.ndarray) -> torch.Tensor:
    """The features written out, layer by layer, in float64."""
    config, network = found.info.network, found.network
    weights = {name: tensor.double() for name, tensor in network.state_dict().items()}
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            weights[f"{name}.weight"] = module.weight.detach().double()  # spectral norm divided already
    h = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 127.5 - 1
    one_hot = config.family == "mnist" or (config.classes and config.condition == "concat")
    parts = list[torch.Tensor]()
    names = [name for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d)]
    for name in names:
        conv: Any = network.get_submodule(name)
        if config.family == "mnist" and not parts:
            h = (h + 1) / 2
        if one_hot:
            h = torch.cat([h, torch.zeros(len(h), config.classes, *h.shape[2:], dtype=h.dtype)], 1)
        h = F.conv2d(h, weights[f"{name}.weight"], weights.get(f"{name}.bias"), conv.stride, conv.padding)
        if config.family == "blog":  # its norm comes last
            number = int(name.split(".")[1])
            h = norm(F.leaky_relu(h, 0.2), weights, f"blocks.{number + 3}", config.norm_eps)
        else:
            place = {"down1": "none", "down2": "norm2"}.get(name, name.rsplit(".", 1)[0] + ".1")
            h = F.leaky_relu(norm(h, weights, place, config.norm_eps), 0.2)
        parts.append(pooled(h))
    return torch.cat(parts, 1)


@pytest.mark.parametrize(("preset", "settings"), FAMILIES)
def test_features_of_every_family(preset: str, settings: dict[str, Any]) -> None:
    found = discriminator(preset, **settings)
    images = random_images(found, 5)
    extractor = feature_extractor(found)
    features = extractor(images)
    expected = restated(found, images)
    assert features.shape == (5, extractor.dimensions) == expected.shape
    torch.testing.assert_close(features.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("preset", "dimensions"), [("paper-imagenet32", 28_672), ("paper-svhn", 7_168)])
def test_the_papers_dimensions(preset: str, dimensions: int) -> None:
    found = discriminator(preset)
    extractor = feature_extractor(found, random_images(found, 2))
    assert extractor.dimensions == len(extractor.names) == dimensions
    assert extractor(random_images(found, 1)).shape == (1, dimensions)


def test_names_say_where_a_feature_is() -> None:
    extractor = feature_extractor(discriminator(image_size=16, channels=1, width=4))
    assert extractor.maps == (4, 8)
    assert extractor.names[0] == "conv1_0_0_0"
    assert extractor.names[4 * 16 + 3 * 16 + 2 * 4 + 1] == "conv2_3_2_1"


def test_bfloat16_is_near() -> None:
    found = discriminator(image_size=32, channels=3, width=8)
    images = random_images(found, 8)
    exact, rough = (feature_extractor(found, precision=name)(images) for name in ("fp32", "bf16"))
    assert 1e-5 < (exact - rough).norm() / exact.norm() < 0.01


def test_images_of_another_shape_are_refused() -> None:
    extractor = feature_extractor(discriminator(image_size=16, channels=1, width=4))
    for wrong in (
        np.zeros((2, 16, 16, 3), np.uint8),
        np.zeros((2, 16, 16, 1), np.float32),
        np.zeros((2, 256), np.uint8),
    ):
        with pytest.raises(InputError, match=r"wants uint8 \(0 to 255\) of shape \(N, 16, 16, 1\)"):
            extractor(wrong)


def statistics_by_hand(found: Discriminator, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of what the second convolution makes of one batch."""
    blocks: Any = found.network.blocks
    first, second = blocks[0], blocks[1]
    h = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    h = second[0](F.leaky_relu(first[0](h), 0.2)).detach()
    return h.mean((0, 2, 3)), h.var((0, 2, 3), correction=0)


def test_statistics_are_averages_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from dcgan.features import statistics

    monkeypatch.setattr(statistics, "BATCH", 4)
    found = discriminator("paper-svhn", image_size=16, width=4)
    images = random_images(found, 11)
    order = np.random.Generator(np.random.Philox(key=0)).permutation(11)
    by_hand = [statistics_by_hand(found, images[order[start : start + 4]]) for start in (0, 4)]
    shown = list[tuple[int, int]]()
    fixed: Any = fix_statistics(found.network, images, lambda done, total: shown.append((done, total)))
    assert shown == [(4, 8), (8, 8)]
    for name, values in zip(("running_mean", "running_var"), zip(*by_hand, strict=True), strict=True):
        torch.testing.assert_close(getattr(fixed.blocks[1][1], name), torch.stack(values).mean(0), rtol=1e-4, atol=1e-6)
    assert needs_statistics(found.network)  # it is left as it was
    assert not needs_statistics(fixed)


def test_no_more_batches_than_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    from dcgan.features import statistics

    monkeypatch.setattr(statistics, "BATCH", 2)
    monkeypatch.setattr(statistics, "MOST_BATCHES", 3)
    found = discriminator("paper-svhn", image_size=16, width=4)
    shown = list[tuple[int, int]]()
    fix_statistics(found.network, random_images(found, 20), lambda done, total: shown.append((done, total)))
    assert shown[-1] == (6, 6)


def test_an_images_features_depend_on_no_other_once_statistics_are_fixed() -> None:
    found = discriminator("paper-svhn", image_size=16, width=4)
    images = random_images(found, 40)
    extractor = feature_extractor(found, images)
    torch.testing.assert_close(extractor(images)[7:9], extractor(images[7:9]))
    with pytest.raises(InputError, match="want some to take their statistics from"):
        feature_extractor(found)
    with pytest.raises(InputError, match="at least 2"):
        feature_extractor(found, images[:1])


def test_running_statistics_are_replaced_when_asked_for() -> None:
    found = discriminator(image_size=16, channels=1, width=4)
    images = random_images(found, 30)
    own, again = feature_extractor(found, images), feature_extractor(found, images, recalibrate=True)
    assert not torch.allclose(own(images), again(images), atol=0.1)
    blocks: Any = again.network.blocks
    values = blocks[1](blocks[0](torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1))
    assert values.mean().abs() < 0.6  # of normal numbers after a leaky ReLU: 0.32
    assert "running averages" in own.statistics
    assert again.statistics == "averaged over batches of 30 images"


def test_pieces_are_joined_in_order() -> None:
    found = discriminator(image_size=16, channels=1, width=4)
    extractor: FeatureExtractor = feature_extractor(found)
    images = random_images(found, 150)
    shown = list[tuple[int, int]]()
    half = extractor(images, torch.float16, lambda done, total: shown.append((done, total)))
    assert shown == [(64, 150), (128, 150), (150, 150)]
    assert half.dtype == torch.float16
    torch.testing.assert_close(
        half.float(), torch.cat([extractor(image[None]) for image in images]), rtol=2e-3, atol=2e-3
    )
