"""Guided back-propagation against a re-statement by hand, closed forms, receptive fields, and what is strongest."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.grad import conv2d_input

from dcgan.config import Config
from dcgan.errors import InputError
from dcgan.features.guided import (
    checked_layer,
    conv_layers,
    guided,
    labels_for,
    receptive_field,
    responses,
    settled,
    strongest,
    untrained,
)
from dcgan.networks import build_discriminator
from dcgan.presets import load_preset
from dcgan.pretrained import Discriminator, ModelInfo
from tests.networks.plain import close, noise, shaken

FAMILIES = [
    ("fast", {}, 3),
    ("fast", {"discriminator_norm": "none"}, 3),
    ("fast", {"discriminator_norm": "spectral", "conditional": True, "classes": 3}, 3),
    ("fast", {"conditional": True, "classes": 3, "condition": "concat", "kernel_size": 5}, 3),
    ("paper-svhn", {}, 3),
    ("blog", {}, 4),
    ("paper-imagenet32", {}, 6),
    ("paper-mnist", {"classes": 3}, 2),
]


def discriminator(preset="fast", **changes):
    config = load_preset(preset).replace(**{"image_size": 32, "channels": 3, "width": 4} | changes).network
    return shaken(build_discriminator(config)).eval()


def labels_of(network, n):
    return torch.arange(n) % 3 if getattr(network, "classes", 0) else None


def by_hand(layers, x, place):
    """The guided gradient of plain layers, [(weight, padding, stride)] with a leaky ReLU after all but the last."""
    inputs, before = [], []
    for i, (weight, padding, stride) in enumerate(layers):
        inputs.append(x.shape)
        x = nn.functional.conv2d(x, weight, None, stride, padding)
        before.append(x)
        x = torch.where(x > 0, x, 0.2 * x) if i < len(layers) - 1 else x
    grad = torch.zeros_like(x)
    grad[place] = 1.0
    for i in reversed(range(len(layers))):
        weight, padding, stride = layers[i]
        grad = conv2d_input(inputs[i], weight, grad, stride, padding)
        if i:
            grad = torch.where((before[i - 1] > 0) & (grad > 0), grad, torch.zeros_like(grad))
    return grad


def test_guided_gradients_are_those_worked_out_by_hand():
    network = discriminator(discriminator_norm="none", channels=1, kernel_size=5)
    for conv in conv_layers(network):
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
    layers = [(conv.weight.detach(), conv.padding, conv.stride) for conv in conv_layers(network)]
    x = noise(1, 1, 32, 32)
    for layer, feature, row, column in ((1, 2, 5, 0), (2, 7, 3, 4), (3, 15, 2, 1), (3, 0, 0, 3)):
        expected = by_hand(layers[:layer], x, (0, feature, row, column))
        found = guided(network, x, layer, feature, np.array([[row, column]]))
        close(found, expected)
        assert found.abs().max() > 0
    plain = x.clone().requires_grad_()
    h = plain_responses(network, plain, 3, None)
    ordinary = torch.autograd.grad(h[0, 15, 2, 1], plain)[0]
    assert not torch.allclose(ordinary, guided(network, x, 3, 15, np.array([[2, 1]])))  # guidance changes something


def test_of_one_convolution_the_gradient_is_its_kernel():
    """Whatever the image: nothing lies between; also where the response is negative."""
    network = discriminator(discriminator_norm="none", kernel_size=4)
    kernel = conv_layers(network)[0].weight[3].detach()
    for seed in range(4):
        gradient = guided(network, noise(1, 3, 32, 32, seed=seed), 1, 3, np.array([[5, 7]]))
        close(gradient[0, :, 9:13, 13:17], kernel)  # row 5 begins at pixel 2 * 5 - 1
        assert gradient.count_nonzero() == kernel.count_nonzero()


def test_a_unit_that_is_not_active_passes_nothing_and_neither_does_a_negative_gradient():
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(2, 1, 1, bias=False))
    for first, second, image, expected in (
        ([1.0, 1.0], [2.0, -3.0], 1.0, 2.0),  # the second's gradient is negative
        ([1.0, -1.0], [2.0, 3.0], 1.0, 2.0),  # the second is not active, though it leaks
        ([-1.0, 1.0], [2.0, 3.0], 1.0, 3.0),
        ([-1.0, -1.0], [2.0, 3.0], 1.0, 0.0),
        ([1.0, 1.0], [2.0, 3.0], 0.0, 0.0),  # at 0 exactly
    ):
        whole = Wrapped(nn.Sequential(*network, nn.LeakyReLU(0.2)))
        with torch.no_grad():
            for conv, weights in zip(conv_layers(network), (first, second), strict=True):
                conv.weight.copy_(torch.tensor(weights).view_as(conv.weight))
        assert guided(whole, torch.full((1, 1, 1, 1), image), 2, 0, np.array([[0, 0]])).item() == expected


class Wrapped(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images, labels=None):
        return self.network(images)


@pytest.mark.parametrize(("preset", "changes", "count"), FAMILIES)
def test_every_family_has_its_convolutions_and_responses(preset, changes, count):
    """The maps are those of the convolution and the norm before its leaky ReLU; the network is as before after it."""
    network = discriminator(preset, **changes)
    images = noise(5, 3, 32, 32)
    labels = labels_of(network, 5)
    before = network(images, labels)
    assert checked_layer(network, None) == count == len(conv_layers(network))
    for layer in range(1, count + 1):
        seen: list[torch.Tensor] = []
        conv = conv_layers(network)[layer - 1]
        follower = dict(network.named_modules()).get("norm2") if preset == "paper-mnist" and layer == 2 else None
        if follower is None:
            names = [name for name, module in network.named_modules() if module is conv]
            parent = network.get_submodule(names[0].rpartition(".")[0]) if "." in names[0] else None
            at = list(parent).index(conv) + 1 if parent is not None else 0
            follower = parent[at] if parent is not None and isinstance(parent[at], nn.BatchNorm2d) else conv
        hook = follower.register_forward_hook(lambda m, i, out, seen=seen: seen.append(out.clone()))
        maps = responses(network, images, layer, labels)
        hook.remove()
        close(maps, seen[0])
        assert guided(network, images[:1], layer, 0, np.array([[1, 1]]), None if labels is None else labels[:1]).any()
    close(network(images, labels), before)


@pytest.mark.parametrize(("preset", "changes", "count"), FAMILIES)
def test_a_receptive_field_is_what_a_unit_can_see(preset, changes, count):
    """Changing a pixel changes the unit if and only if the pixel is in its field."""
    if changes.get("discriminator_norm") is None and preset not in ("blog", "paper-mnist"):
        changes = {**changes, "norm_stats": "running"}  # batch statistics see everything
    if preset == "paper-mnist":
        changes = {**changes, "norm_stats": "running"}
    network = discriminator(preset, **changes)
    labels = labels_of(network, 1)
    for layer in range(1, count + 1):
        images = noise(1, 3, 32, 32).requires_grad_()
        maps = plain_responses(network, images, layer, labels)
        rows, columns = maps.shape[2:]
        for row, column in ((0, 0), (rows // 2, columns // 2), (rows - 1, 1)):
            (gradient,) = torch.autograd.grad(maps[0, :, row, column].sum(), images, retain_graph=True)
            seen = gradient[0].abs().sum(0) > 0
            field = receptive_field(network, layer)
            (top, left), (height, width) = field.at(row, column), field.size
            expected = torch.zeros(32, 32, dtype=torch.bool)
            expected[max(top, 0) : top + height, max(left, 0) : left + width] = True
            assert torch.equal(seen, expected), (layer, row, column)


def plain_responses(network, images, layer, labels):
    """With ordinary gradients, by a hook on the convolution."""
    seen = []
    hook = conv_layers(network)[layer - 1].register_forward_hook(lambda m, i, out: seen.append(out.clone()))
    network(images, labels)
    hook.remove()
    return seen[0]


def test_the_papers_last_convolution_sees_almost_the_whole_image():
    config = load_preset("paper").replace(width=1, channels="3").network
    field = receptive_field(build_discriminator(config), 4)
    assert field.size == (61, 61)
    assert field.jump == (16, 16)
    assert field.at(0, 0) == (-30, -30)


@pytest.mark.parametrize("layer", [0, -1, 4, 100])
def test_wrong_layers_are_refused(layer):
    with pytest.raises(InputError, match=rf"layer: {layer} is none of this discriminator's 3 convolutions \(1 to 3\)"):
        checked_layer(discriminator(), layer)


def images_of(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("k", [1, 4, 30])
def test_the_strongest_of_a_stream_are_those_of_all_at_once(monkeypatch, k):
    monkeypatch.setattr("dcgan.features.guided.BATCH", 7)
    network, images = discriminator().float(), images_of(30)
    counted = []
    found = strongest(network, images, 2, (3, 0), k, progress=lambda done, total: counted.append((done, total)))
    with torch.no_grad():
        maps = responses(network, torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1, 2)[:, [3, 0]]
    peaks = maps.amax((2, 3)).T  # (2, 30)
    assert np.array_equal(found.images, peaks.argsort(1, descending=True)[:, :k])
    np.testing.assert_allclose(found.responses, peaks.sort(1, descending=True).values[:, :k], rtol=1e-4)
    for f in range(2):
        for i in range(k):
            row, column = found.places[f, i]
            here = maps[found.images[f, i], f, row, column].item()
            assert here == pytest.approx(peaks[f, found.images[f, i]].item(), rel=1e-4)
    assert counted[-1] == (30, 30)


def test_of_equal_responses_the_earlier_image_and_the_first_place_win(monkeypatch):
    monkeypatch.setattr("dcgan.features.guided.BATCH", 3)
    network = discriminator(discriminator_norm="none").float()
    first = conv_layers(network)[0]
    assert first.bias is not None
    with torch.no_grad():
        first.weight.zero_()  # every response is the bias
        first.bias.fill_(1.5)
    found = strongest(network, images_of(10), 1, (0, 2), 4)
    assert found.images.tolist() == [[0, 1, 2, 3]] * 2
    assert not found.places.any()
    assert (found.responses == 1.5).all()


def test_of_many_images_that_are_alike_the_earlier_come_first():
    """More than a sort that keeps no order keeps in order by chance."""
    network = discriminator(discriminator_norm="none").float()
    with torch.no_grad():
        conv_layers(network)[0].weight.fill_(1.0)
    images = np.zeros((60, 32, 32, 3), np.uint8) + np.arange(60, dtype=np.uint8)[:, None, None, None] % 3 * 100
    assert strongest(network, images, 1, (1,), 12).images.tolist() == [[*range(2, 38, 3)]]


@pytest.mark.parametrize(
    ("features", "k", "text"),
    [
        ((0,), 6, "the 6 strongest of 5 images"),
        ((0,), 0, "the 0 strongest"),
        ((4,), 2, "convolution 1 has 4 maps, 0 to 3; 4 is not"),
        ((0, -1), 2, "0, -1 is not"),
        ((), 2, "none is not"),
    ],
)
def test_senseless_requests_are_refused(features, k, text):
    with pytest.raises(InputError) as caught:
        strongest(discriminator().float(), images_of(5), 1, features, k)
    assert text in str(caught.value)


def test_responses_that_are_no_numbers_are_refused():
    network = discriminator().float()
    with torch.no_grad():
        conv_layers(network)[0].weight.fill_(float("nan"))
    with pytest.raises(InputError, match="NaN"):
        strongest(network, images_of(5), 1, (0,), 2)


def alike(a, b):
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize(("preset", "changes", "count"), FAMILIES)
def test_settled_networks_see_each_image_alone(preset, changes, count, anew):
    network = discriminator(preset, **changes).float()
    images, labels = noise(6, 3, 32, 32).float(), labels_of(network, 6)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ready = settled(network, images, labels, anew=anew)
    for i in (0, 5):
        one = None if labels is None else labels[i : i + 1]
        alike(responses(ready, images[i : i + 1], count, one)[0], responses(ready, images, count, labels)[i])
    together = responses(ready, images, count, labels)
    if anew and changes.get("discriminator_norm", "batch") == "batch" and preset != "blog":
        bare = together.transpose(0, 1).flatten(1)  # of the norm's output: its bias and gain
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        alike(bare.mean(1), norms[-1].bias if norms[-1].affine else torch.zeros(len(bare)))
    if not anew:
        alike(together, responses(network, images, count, labels))  # the very batch that the statistics are of
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_untrained_network_is_always_the_same_and_leaves_noise_alone():
    config = Config().replace(image_size=16, channels=1, width=4).network
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one, same, other = (untrained(config, seed, torch.device("cpu")) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(conv_layers(one)[0].weight, conv_layers(same)[0].weight)
    assert not torch.equal(conv_layers(one)[0].weight, conv_layers(other)[0].weight)


def test_labels_of_conditional_networks():
    def of(**settings):
        config = Config().replace(**{"image_size": 16, "channels": 1, "width": 4} | settings).network
        return Discriminator(build_discriminator(config), ModelInfo(config))

    own = np.array([0, 2, 1])
    conditional = of(conditional=True, classes=3)
    assert labels_for(of(), own, None, 3) is None
    assert labels_for(conditional, own, None, 3) is own
    told = labels_for(conditional, None, 2, 3)
    assert told is not None
    assert told.tolist() == [2, 2, 2]
    for wrong in (None, np.array([0, 3])):
        with pytest.raises(InputError, match="give one --class"):
            labels_for(conditional, wrong, None, 3)
