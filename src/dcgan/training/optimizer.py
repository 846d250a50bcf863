"""Adam as both players use it: made, stepped unless something is not finite, and restored."""

from __future__ import annotations

import math

import torch
from torch import nn

from dcgan import distributed
from dcgan.config import TrainingConfig

ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What it keeps of each parameter."""


def adam(network: nn.Module, settings: TrainingConfig, lr: float) -> torch.optim.Adam:
    """Adam of the settings for the parameters of a network, fused where that is to be had."""
    device = next(network.parameters()).device
    on_gpu = device.type == "cuda"
    return torch.optim.Adam(
        network.parameters(),
        torch.tensor(lr, device=device) if on_gpu else lr,  # a graph reads a tensor anew each time
        (settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=on_gpu or device.type == "cpu",
        capturable=on_gpu,
    )


def set_rate(optimizer: torch.optim.Adam, rate: float) -> None:
    """Take this learning rate for the steps to come."""
    for group in optimizer.param_groups:
        group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], torch.Tensor) else rate


def descend(optimizer: torch.optim.Adam, loss: torch.Tensor, refused: torch.Tensor) -> torch.Tensor:
    """Update along the gradients, or add 1 to `refused` if they or the loss are not finite; returns the norm of all.

    Of several processes they and the loss are means over all, so that none refuses what others do.
    On a CUDA GPU a tensor tells the fused Adam, and nothing waits; elsewhere to look costs less.
    """
    gradients = [p.grad for p in optimizer.param_groups[0]["params"] if p.grad is not None]
    loss = loss.detach().clone()
    distributed.average_([*gradients, loss])
    norm = torch.stack(torch._foreach_norm(gradients)).norm()
    total = norm + loss
    if optimizer.defaults["capturable"]:
        bad = total.isfinite().logical_not().float()
        refused += bad
        optimizer.found_inf = bad  # type: ignore[attr-defined]
        optimizer.step()
    elif math.isfinite(total):
        optimizer.step()
    else:
        refused += 1
    return norm


def restore(optimizer: torch.optim.Adam, tensors: dict[str, torch.Tensor]) -> None:
    """Take over the saved moments in the memory layout of their parameters: fused Adam reads both side by side.

    It reads as far as the parameter goes, whatever the moments are: ValueError unless they are of its shape and type.
    """
    parameters = optimizer.param_groups[0]["params"]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, field = name.partition(".")
        like = parameters[int(index)] if field in ("exp_avg", "exp_avg_sq") else torch.zeros(())
        if field not in ADAM or not index.isdecimal() or (tensor.shape, tensor.dtype) != (like.shape, like.dtype):
            raise ValueError(f"{name} is nothing that Adam keeps of this network")
        state.setdefault(int(index), {})[field] = torch.empty_like(like).copy_(tensor) if like.ndim else tensor
    if any(values.keys() != set(ADAM) for values in state.values()) or any(i >= len(parameters) for i in state):
        raise ValueError("what Adam keeps is not complete")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
