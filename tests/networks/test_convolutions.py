"""The layers that compute a convolution in another way, against the convolution itself."""

import pytest
import torch
import torch.nn.functional as F

from dcgan.networks import convolutions
from dcgan.networks.convolutions import ThinConv, UpsampleConv

LAYERS = [UpsampleConv, ThinConv]


@pytest.fixture(autouse=True, params=[0, convolutions.WIDE], ids=["wide", "narrow"])
def _width(request, monkeypatch):
    """Layers as small as these take the way of the wide ones too."""
    monkeypatch.setattr(convolutions, "WIDE", request.param)


def plain(layer, x):
    if isinstance(layer, UpsampleConv):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return F.conv2d(x, layer.weight, layer.bias, padding=1)


def outcome(compute, x, layer):
    """The maps, and the gradients of x and of every parameter under a fixed random gradient."""
    x = x.clone().requires_grad_()
    y = compute(x)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    return [y, *torch.autograd.grad((y * weights).sum(), [x, *layer.parameters()])]


def inputs(shape, dtype=torch.double):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.double).to(dtype)
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("maps", [1, 3, 8])
@pytest.mark.parametrize("size", [(4, 4), (1, 1), (3, 5), (6, 2)])
def test_maps_and_gradients_are_the_convolutions(layer, maps, size):
    torch.manual_seed(0)
    network = layer(5, maps).double()
    x = inputs((2, 5, *size))
    ours, theirs = outcome(network, x, network), outcome(lambda x: plain(network, x), x, network)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_a_bias_can_be_left_out():
    network = ThinConv(4, 2, bias=False).double()
    x = inputs((3, 4, 5, 6))
    ours, theirs = outcome(network, x, network), outcome(lambda x: plain(network, x), x, network)
    assert len(ours) == 3
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer", LAYERS)
def test_other_memory_layouts_give_the_same(layer):
    network = layer(5, 2).double()
    x = inputs((2, 5, 4, 6))
    for a, b in zip(outcome(network, x.contiguous(), network), outcome(network, x, network), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_gradient_stays_in_the_layout_of_the_maps(layer):
    """A backward pass through mixed layouts takes many times as long."""
    x = inputs((2, 8, 6, 6), torch.float32).requires_grad_()
    y = layer(8, 4)(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    (grad,) = torch.autograd.grad(y.square().sum(), x)
    assert grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layer", LAYERS)
def test_without_gradients_it_draws_the_same(layer):
    network, x = layer(16, 3), inputs((2, 16, 6, 6), torch.float32)
    with torch.no_grad():
        drawn = network(x)
    torch.testing.assert_close(drawn, network(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_autocast_reaches_inside(layer):
    """In bfloat16 the maps and gradients are the float32 ones but for its 8 bits."""
    network, x = layer(32, 2), inputs((4, 32, 8, 8), torch.float32)
    exact = outcome(network, x, network)

    def rough(x):
        with torch.autocast("cpu", torch.bfloat16):
            # A layer before it hands over bfloat16, as the generator's do.
            return network(x.to(torch.bfloat16)).float()

    for a, b in zip(outcome(rough, x, network), exact, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.02 * b.norm()


def test_it_is_an_ordinary_convolution_to_the_state_dict():
    assert {name: t.shape for name, t in UpsampleConv(5, 7).state_dict().items()} == {
        "weight": (7, 5, 3, 3),
        "bias": (7,),
    }
