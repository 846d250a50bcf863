"""What layers need to be trained by several processes as by one: sums, and random numbers, of the whole batch.

`torch.nn.SyncBatchNorm` works on CUDA alone and has no second derivative, which R1 and the gradient penalty want.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from dcgan import distributed

NORMS = nn.BatchNorm1d | nn.BatchNorm2d


def in_parallel(network: nn.Module, sync_batchnorm: bool) -> nn.Module:
    """The network for one of several processes, changed in place; in a single process it is left as it is.

    Dropout draws for the whole batch and takes this process's share, and with `sync_batchnorm` batch norm in
    training mode sees the whole batch. Parameters, buffers, their names and evaluation mode stay as they are.
    """
    if distributed.world() == 1:
        return network
    for module in network.modules():
        if sync_batchnorm and type(module) in _SHARED_NORMS:
            module.__class__ = _SHARED_NORMS[type(module)]
        elif type(module) is nn.Dropout2d:
            module.__class__ = SharedDropout2d
    return network


@torch.no_grad()
def average_statistics(*networks: nn.Module) -> None:
    """Replace the running averages of all norms by their means over the processes."""
    norms = [module for network in networks for module in network.modules() if isinstance(module, NORMS)]
    buffers = [b for norm in norms for b in (norm.running_mean, norm.running_var) if b is not None]
    if buffers:
        distributed.average_(buffers)


class SharedDropout2d(nn.Dropout2d):
    """Dropout of maps, with the masks that one process would draw for the whole batch."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p:
            return input
        n = len(input) * distributed.world()
        kept = input.new_empty(n, input.shape[1], 1, 1).bernoulli_(1 - self.p).div_(1 - self.p)
        return input * distributed.own_share(kept)


class _Shared:
    """Batch norm that in training mode has the mean and the variance of all processes' batches, of one size each."""

    def forward(self: Any, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)  # type: ignore[misc]
        output, mean, variance = _Normalise.apply(input, self.weight, self.bias, self.eps)
        if self.running_mean is not None:
            with torch.no_grad():
                count = input.numel() // input.shape[1] * distributed.world()
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
                self.num_batches_tracked.add_(1)
        return output


class SharedBatchNorm1d(_Shared, nn.BatchNorm1d):
    """Of (N, units)."""


class SharedBatchNorm2d(_Shared, nn.BatchNorm2d):
    """Of (N, C, H, W)."""


_SHARED_NORMS: dict[type, type] = {nn.BatchNorm1d: SharedBatchNorm1d, nn.BatchNorm2d: SharedBatchNorm2d}


class _Normalise(torch.autograd.Function):
    """Normalised input, mean and biased variance; two small sums over the processes, one on the way and one back.

    Both ways are PyTorch's own kernels with given statistics, so that they cost about what they cost in one process.
    Where a gradient is to be differentiated again, it is that of `_plainly`, which can be.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        spare = torch.empty(2, x.shape[1], device=x.device)  # float32, and so are the results, also of bfloat16
        own = torch.ops.aten.batch_norm_update_stats(x, *spare, 1.0)
        means, variances = distributed.collect(own).view(-1, 2, x.shape[1]).unbind(1)
        # The variance of all is the mean of those of the parts, and that of their means.
        mean = means.mean(0)
        variance = (variances + (means - mean).square_()).mean(0)
        ctx.save_for_backward(x, weight, bias, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)  # nothing comes back for those two: no zeros need be made
        return functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), mean, variance

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        x, weight, bias, mean, variance = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable(x, weight, bias, ctx.eps, grad, ctx.needs_input_grad)
        inverse = (variance + ctx.eps).rsqrt_()
        gain = torch.ones_like(inverse) if weight is None else weight
        grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, gain, mean, variance, mean, inverse, False, ctx.eps, [True, True, True]
        )
        # So far with given statistics. What x does to them: less the mean of the gradient, and of its part along x.
        sums = torch.stack([grad_weight, grad_bias])
        distributed.sum_(sums)
        sums *= inverse.mul_(gain).mul_(-x.shape[1] / (x.numel() * distributed.world()))
        grad_x += functional.batch_norm(x, mean, variance, sums[0], sums[1], False, 0.0, ctx.eps)
        return grad_x, None if weight is None else grad_weight, None if bias is None else grad_bias, None


def _differentiable(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    eps: float,
    grad: torch.Tensor,
    needed: tuple[bool, ...],
) -> tuple[torch.Tensor | None, ...]:
    """The gradients with a graph of their own."""
    inputs = (x, weight, bias)
    wanted = [tensor for tensor, need in zip(inputs, needed, strict=False) if need and tensor is not None]
    found = iter(torch.autograd.grad(_plainly(x, weight, bias, eps), wanted, grad, create_graph=True))
    return *(next(found) if need and t is not None else None for t, need in zip(inputs, needed, strict=False)), None


def _plainly(x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float) -> torch.Tensor:
    """The same in operations that can be differentiated as often as one likes, float32."""
    axes = [axis for axis in range(x.ndim) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    count = x.numel() // x.shape[1] * distributed.world()
    y = x.float()
    y = y - _Sum.apply(y.sum(axes)).view(shape) / count
    y = y * (_Sum.apply(y.square().sum(axes)).view(shape) / count + eps).rsqrt()
    y = y if weight is None else y * weight.view(shape)
    return (y if bias is None else y + bias.view(shape)).to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over the processes, whose losses add up: what each makes of it comes back to all."""

    @staticmethod
    def forward(_ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        distributed.sum_(tensor)
        return tensor

    @staticmethod
    def backward(_ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return _Sum.apply(grad)
