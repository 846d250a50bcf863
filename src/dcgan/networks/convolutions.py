"""Convolutions that are computed in another way than they read, because it is faster; the numbers are the same.

The layers are ordinary `nn.Conv2d`s with ordinary 3×3 weights. Other ways than PyTorch's own are taken on
the CPU alone: a GPU's libraries are at their best with whole convolutions. `benchmarks/RESULTS.md` has the gains.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

WIDE = 64 * 128
"""Maps in times maps out from which three quarters of a backward pass are done sooner than PyTorch's own pass."""


class UpsampleConv(nn.Conv2d):
    """Nearest-neighbour ×2 followed by a 3×3 convolution (padding 1), computed as one transposed convolution.

    (N, C, H, W) → (N, C', 2H, 2W). The same function of the same 3×3 weights, zero padding included, at 4
    taps an output pixel instead of 9, and without the enlarged maps in memory.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        wide = self.in_channels * self.out_channels >= WIDE
        if wide and input.device.type == "cpu" and torch.is_grad_enabled():
            return _UpsampleConv.apply(*_autocast(input, self.weight, self.bias))
        return _upsample_conv(input, self.weight, self.bias)

    def as_transposed(self) -> nn.ConvTranspose2d:
        """The same function of the weights as they are now, as one of PyTorch's own layers."""
        layer = nn.ConvTranspose2d(self.in_channels, self.out_channels, 4, 2, 1, bias=self.bias is not None)
        with torch.no_grad():
            layer.weight = nn.Parameter(_upsample_kernel(self.weight))
            layer.bias = self.bias
        return layer


class ThinConv(nn.Conv2d):
    """A 3×3 convolution (padding 1) to very few maps, such as an image's channels: (N, C, H, W) → (N, C', H, W).

    Convolution kernels are made for many output maps and are at a tenth of their rate with one. Here one
    matrix product gives every tap's share of every pixel, and nine shifted sums put the shares together.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if input.device.type == "cpu" and torch.is_grad_enabled():
            return _ThinConv.apply(*_autocast(input, self.weight, self.bias))
        return super().forward(input)


def _autocast(*tensors: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
    """As autocast would have them: PyTorch casts the arguments of its own operations only."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    return tuple(None if tensor is None else tensor.to(torch.get_autocast_dtype("cpu")) for tensor in tensors)


def _upsample_conv(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return nn.functional.conv_transpose2d(x, _upsample_kernel(weight), bias, stride=2, padding=1)


def _upsample_kernel(weight: torch.Tensor) -> torch.Tensor:
    """(C', C, 3, 3) → (C, C', 4, 4)"""
    return _meet(_meet(weight.transpose(0, 1), 2), 3)


def _meet(kernel: torch.Tensor, axis: int) -> torch.Tensor:
    """Three taps over doubled pixels as four over the pixels: neighbouring taps meet on the same one."""
    before, here, after = kernel.unbind(axis)
    return torch.stack([after, here + after, before + here, before], axis)


def _part(grad: torch.Tensor, axis: int) -> torch.Tensor:
    """The transpose of `_meet`: gradients of four taps as gradients of three."""
    first, second, third, fourth = grad.unbind(axis)
    return torch.stack([third + fourth, second + third, first + second], axis)


class _UpsampleConv(torch.autograd.Function):
    """The transposed convolution, with a backward pass that takes three quarters of the products.

    With the rows a, b, c of a kernel, the two rows drawn from row i of x are a x[i-1] + (b+c) x[i] and
    (a+b) x[i] + c x[i+1]: four products. With s = a+b+c and the differences d[i] = x[i] - x[i-1] they are
    s x[i] - a d[i] and s x[i] + c d[i+1]: three. The backward pass follows the second form.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return _upsample_conv(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        above, here, below = _meet(weight.transpose(0, 1), 3).unbind(2)  # (C, C', 4) each
        maps, rows = weight.shape[0], grad.permute(0, 2, 3, 1).unflatten(1, (-1, 2))  # (N, H, 2, 2W, C')
        even, odd = rows.unbind(2)

        grad_x, grad_sum = _backward_rows(even + odd, x, above + here + below)
        grad_pair = rows.new_zeros(len(x), x.shape[2] + 1, *even.shape[2:3], 2 * maps)
        grad_pair[:, :-1, :, :maps] = even
        grad_pair[:, 1:, :, maps:] = odd
        grad_d, grad_edges = _backward_rows(grad_pair, _differences(x), torch.cat([-above, below], 1))
        grad_x += grad_d[:, :, :-1]
        grad_x -= grad_d[:, :, 1:]

        grad_above, grad_below = grad_edges.split(maps, 1)
        grad_weight = torch.stack([grad_sum - grad_above, grad_sum, grad_sum + grad_below], 2)
        grad_bias = grad.sum((0, 2, 3)) if ctx.biased else None
        return grad_x, _part(grad_weight, 3).transpose(0, 1), grad_bias


def _differences(x: torch.Tensor) -> torch.Tensor:
    """Each row of (N, C, H, W) less the one above it, zeros beyond the edges: (N, C, H + 1, W)."""
    d = x.new_empty(len(x), x.shape[2] + 1, x.shape[3], x.shape[1]).permute(0, 3, 1, 2)
    d[:, :, 0] = x[:, :, 0]
    torch.sub(x[:, :, 1:], x[:, :, :-1], out=d[:, :, 1:-1])
    torch.neg(x[:, :, -1], out=d[:, :, -1])
    return d


def _backward_rows(grad: torch.Tensor, x: torch.Tensor, kernel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of x and of a kernel (C, C', 4) that widens each row: grad is (N, H, 2W, C')."""
    grad_x, grad_kernel, _ = torch.ops.aten.convolution_backward(
        grad.permute(0, 3, 1, 2),
        x,
        kernel.unsqueeze(2).contiguous(memory_format=torch.channels_last),
        None,  # bias sizes
        [1, 2],  # stride
        [0, 1],  # padding
        [1, 1],  # dilation
        True,  # transposed
        [0, 0],  # output padding
        1,  # groups
        [True, True, False],
    )
    return grad_x, grad_kernel.squeeze(2)


class _ThinConv(torch.autograd.Function):
    """One matrix product and nine shifted sums; images and shares are planes (C', N, H, W) meanwhile."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        taps = weight.permute(2, 3, 0, 1).flatten(0, 2)  # (9 C', C)
        shares = (taps @ _pixels(x).t()).view(3, 3, len(weight), len(x), *x.shape[2:])
        out = torch.zeros(len(weight), len(x), x.shape[2] + 2, x.shape[3] + 2, device=x.device)
        out = out.to(torch.promote_types(x.dtype, torch.float32))
        for i, j in _TAPS:
            _shifted(out, 2 - i, 2 - j).add_(shares[i, j])
        image = out[:, :, 1:-1, 1:-1].transpose(0, 1)
        image = image if bias is None else image + bias.view(-1, 1, 1)
        return image.contiguous(memory_format=torch.channels_last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        maps, inputs = weight.shape[:2]
        padded = nn.functional.pad(grad.transpose(0, 1).to(x.dtype), (1, 1, 1, 1))
        shares = torch.stack([_shifted(padded, 2 - i, 2 - j) for i, j in _TAPS]).view(9 * maps, -1)
        grad_taps = shares @ _pixels(x)
        grad_pixels = shares.t() @ weight.permute(2, 3, 0, 1).flatten(0, 2)
        grad_x = grad_pixels.view(len(x), *x.shape[2:], inputs).permute(0, 3, 1, 2)
        grad_weight = grad_taps.view(3, 3, maps, inputs).permute(2, 3, 0, 1)
        return grad_x, grad_weight, grad.sum((0, 2, 3)) if ctx.biased else None


_TAPS = [(i, j) for i in range(3) for j in range(3)]


def _shifted(padded: torch.Tensor, top: int, left: int) -> torch.Tensor:
    """The window of a bordered image that begins at (top, left)."""
    return padded[:, :, top : top + padded.shape[2] - 2, left : left + padded.shape[3] - 2]


def _pixels(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) in channels-last memory as (N·H·W, C)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
