"""What the re-stated networks share: the authors' batch norm, random weights, and names of weights."""

import torch


def norm(x, weights, name, eps):
    """Batch norm with the batch's own statistics, per channel or unit, written out."""
    axes = [axis for axis in range(x.ndim) if axis != 1]
    mean = x.mean(axes, keepdim=True)
    variance = (x - mean).square().mean(axes, keepdim=True)
    x = (x - mean) / (variance + eps).sqrt()
    if f"{name}.weight" in weights:
        shape = [1, -1] + [1] * (x.ndim - 2)
        x = x * weights[f"{name}.weight"].reshape(shape) + weights[f"{name}.bias"].reshape(shape)
    return x


def shaken(network):
    """The network in float64 with every weight and statistic random, so that none is hidden by its initial value."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.double().state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else noise * 0.1 + tensor)
    return network


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a, b):
    """Equal in float64 but for the order of additions."""
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def count(network):
    return sum(p.numel() for p in network.parameters())
