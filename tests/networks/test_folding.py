"""Folded generators draw what the whole ones draw."""

import pytest
import torch
from torch import nn

from dcgan.networks import build_generator
from dcgan.networks.folding import folded, ready_to_draw, shuffled
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
        ("blog", {"latent_dim": 8}, 0),
        ("paper-imagenet32", {"norm_stats": "running", "norm_eps": 1e-5}, 0),
        ("paper-mnist", {"norm_stats": "running", "classes": 3}, 0),
        ("paper-mnist", {"classes": 3}, 3),
        ("paper-mnist", {"norm_stats": "running", "classes": 3, "upsampling": "resize"}, 0),
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


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_a_shuffled_convolution_is_the_transposed_one(kernel, bias):
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(5, 3, kernel, 2, (kernel - 1) // 2, output_padding=kernel % 2, bias=bias).double()
    x = noise(2, 5, 4, 7)
    changed = shuffled(nn.Sequential(layer), most_maps=3)
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in changed.modules())
    close(changed(x), layer(x))
    assert next(shuffled(nn.Sequential(layer), most_maps=2).children()) is layer


@pytest.mark.parametrize(
    ("preset", "transposed"), [("fast", 2), ("blog", 0), ("paper-imagenet32", 3), ("paper-mnist", 1)]
)
def test_ready_to_draw_is_the_same_function(preset, transposed):
    """In float32 only the convolution to the image is changed, and in bfloat16 all that are transposed."""
    classes = {"classes": 3} if preset == "paper-mnist" else {}
    size = 28 if preset == "paper-mnist" else 32
    torch.manual_seed(0)
    config = load_preset(preset).replace(image_size=size, channels=1, width=8, latent_dim=8, **classes).network
    network = shaken(build_generator(config)).float().eval()
    z, labels = noise(64, 8).float(), torch.arange(64) % 3 if config.classes else None
    wanted = network(z, labels)
    ready, rounded = ready_to_draw(network, torch.float32), ready_to_draw(network, torch.bfloat16)
    for drawer, left in ((ready, transposed), (rounded, 0)):
        assert sum(isinstance(module, nn.ConvTranspose2d) for module in drawer.modules()) == left
    torch.testing.assert_close(ready(z, labels), wanted, atol=5e-5, rtol=1e-4)
    with torch.inference_mode():
        drawn = rounded(z.bfloat16(), labels)
    assert drawn.dtype == torch.bfloat16
    assert (drawn.float() - wanted).abs().mean() < 0.02
    for module in rounded.modules():
        for tensor in module.state_dict().values():
            kept = isinstance(module, NORMS)
            if not list(module.children()) and tensor.is_floating_point():
                assert tensor.dtype == (torch.float32 if kept else torch.bfloat16)
