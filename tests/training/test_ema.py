"""The running average of G against its formula."""

import pytest
import torch
from torch import nn

from dcgan.training.ema import Average


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def change(source):
    """Every floating tensor moves, as in training."""
    with torch.no_grad():
        for tensor in source.state_dict().values():
            tensor.add_(1 if tensor.dtype == torch.int64 else torch.rand(tensor.shape))


@pytest.mark.parametrize("decay", [0.05, 0.5, 0.999])
def test_average_follows_its_formula_with_a_warm_up(decay):
    source = network()
    average = Average(source, decay)
    expected = {name: tensor.double().clone() for name, tensor in source.state_dict().items()}
    for t in range(20):
        change(source)
        average.update()
        d = min(decay, (1 + t) / (10 + t))
        for name, tensor in source.state_dict().items():
            expected[name] = d * expected[name] + (1 - d) * tensor.double()
    assert average.updates == 20
    for name, tensor in average.network.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_counts_are_not_averaged():
    source = network()
    average = Average(source, 0.9)
    change(source)
    average.update()
    assert average.network.state_dict()["1.num_batches_tracked"].dtype == torch.int64


def test_average_is_a_network_of_its_own_that_nothing_trains():
    source = network()
    before = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    average = Average(source, 0.9)
    change(average.network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in source.state_dict().items())
    assert not any(p.requires_grad for p in average.network.parameters())
    assert all(p.requires_grad for p in source.parameters())


def test_without_decay_it_is_the_network_itself():
    source = network()
    average = Average(source, 0.0)
    average.update()
    assert average.network is source
    assert all(p.requires_grad for p in source.parameters())
