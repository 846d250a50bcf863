"""Folded generators draw what the whole ones draw."""

import pytest
import torch
from torch import nn

from dcgan.networks import build_generator
from dcgan.networks.folding import folded
from dcgan.presets import load_preset
from tests.networks.plain import close, noise, shaken

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def norms(network):
    return sum(isinstance(module, NORMS) for module in network.modules())


@pytest.mark.parametrize(
    ("preset", "changes", "left"),
    [
        ("fast", {}, 0),
        ("fast", {"projection_norm": "unit", "conv_bias": True}, 0),
        ("fast", {"norm_affine": False, "kernel_size": 5}, 0),
        ("fast", {"conditional": True, "classes": 3}, 0),
        ("fast", {"conditional": True, "classes": 3, "condition": "concat"}, 0),
        ("fast", {"upsampling": "resize"}, 0),
        ("fast", {"norm_stats": "batch"}, 3),
        ("blog", {"latent_dim": 8}, 1),  # its first follows no layer of the sequence
        ("paper-imagenet32", {"norm_stats": "running", "norm_eps": 1e-5}, 0),
        ("paper-mnist", {"norm_stats": "running", "classes": 3}, 3),  # it has no sequence
    ],
)
def test_folding_changes_nothing_but_rounding(preset, changes, left):
    small = {"image_size": 28 if preset == "paper-mnist" else 32, "channels": 3, "width": 4, "latent_dim": 8}
    config = load_preset(preset).replace(**small | changes).network
    network = shaken(build_generator(config))
    z, labels = noise(16, 8), torch.arange(16) % 3 if config.classes else None
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ready = folded(network.train())
    assert norms(ready) == left
    close(ready(z, labels), network.eval()(z, labels))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
