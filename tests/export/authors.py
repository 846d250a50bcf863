"""Folders as the authors released them, at any width, and their networks written out as their code computes them.

Theano's convolutions mirror their kernels: y[i] = sum over p of w[p] x[stride i + centre - p]. Its transposed ones are
gradients of those, and are taken as gradients here.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F


def shapes(kernel, width, latents):
    """The authors' tensors in order: the SVHN net has kernels of 5×5, the ImageNet net of 3×3."""
    w, k = width, (kernel, kernel)
    if kernel == 5:
        ups, downs = [(4 * w, 2 * w), (2 * w, w), (w, 3)], [(w, 3), (2 * w, w), (4 * w, 2 * w)]
    else:
        ups = [(4 * w, 4 * w), (4 * w, 2 * w), (2 * w, 2 * w), (2 * w, w), (w, w), (w, 3)]
        downs = [(w, 3), (w, w), (2 * w, w), (2 * w, 2 * w), (4 * w, 2 * w), (4 * w, 4 * w)]
    units = 4 * w * 16
    gen: list[tuple[int, ...]] = [(latents, units), (units,), (units,)]
    for maps in ups[:-1]:
        gen += [maps + k, maps[1:], maps[1:]]
    discrim: list[tuple[int, ...]] = [downs[0] + k]
    for maps in downs[1:]:
        discrim += [maps + k, maps[:1], maps[:1]]
    return {"gen": [*gen, ups[-1] + k], "discrim": [*discrim, (units, 1)]}


def write(folder: Path, kernel=5, width=4, latents=6, name="{side}_{number:02d}.npy"):
    """Random tensors of the right shapes."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for side, sizes in shapes(kernel, width, latents).items():
        for number, size in enumerate(sizes, 1):
            array = rng.normal(0.8, 0.1, size) if len(size) == 1 else rng.normal(0, 0.1, size)
            np.save(folder / name.format(side=side, number=number), array.astype(np.float32))
    return folder


def tensors(folder: Path, side):
    paths = sorted(folder.glob(f"{side}_*.npy"))
    return [torch.from_numpy(np.load(path, allow_pickle=False)).double() for path in paths]


def convolution(x, w, stride):
    """(N, C, H, W) and kernels (C', C, k, k) → (N, C', H / stride, W / stride), by its definition."""
    centre, (height, width) = w.shape[2] // 2, (-(-side // stride) for side in x.shape[2:])
    padded = F.pad(x, [centre] * 4)
    y = x.new_zeros(())
    for p in range(w.shape[2]):
        for q in range(w.shape[3]):
            top, left = 2 * centre - p, 2 * centre - q
            seen = padded[:, :, top : top + stride * height : stride, left : left + stride * width : stride]
            y = y + torch.einsum("ncij,oc->noij", seen[:, :, :height, :width], w[:, :, p, q])
    return y


def transposed(h, w, stride):
    """The gradient of a convolution by its input: (N, C, H, W), kernels (C, C', k, k) → (N, C', stride H, stride W)."""
    x = torch.zeros(len(h), w.shape[1], *(side * stride for side in h.shape[2:])).double().requires_grad_()
    (gradient,) = torch.autograd.grad(convolution(x, w, stride), x, h)
    return gradient


def normed(x, gain, bias):
    axes = [axis for axis in range(x.ndim) if axis != 1]
    mean = x.mean(axes, keepdim=True)
    shape = [1, -1] + [1] * (x.ndim - 2)
    x = (x - mean) / ((x - mean).square().mean(axes, keepdim=True) + 1e-8).sqrt()
    return x * gain.reshape(shape) + bias.reshape(shape)


def gen(folder: Path, z):
    first, *weights = tensors(folder, "gen")
    h = F.relu(normed(z @ first, weights[0], weights[1])).reshape(len(z), -1, 4, 4)
    layers = [weights[i : i + 3] for i in range(2, len(weights) - 1, 3)]
    steps = [2, 2, 2] if len(layers) == 2 else [2, 1, 2, 1, 2, 1]
    for (w, gain, bias), stride in zip(layers, steps[:-1], strict=True):
        h = F.relu(normed(transposed(h, w, stride), gain, bias))
    return torch.tanh(transposed(h, weights[-1], steps[-1]))


def discrim(folder: Path, images):
    """Logits; theirs are behind a sigmoid."""
    first, *weights = tensors(folder, "discrim")
    layers = [weights[i : i + 3] for i in range(0, len(weights) - 1, 3)]
    steps = [2, 2, 2] if len(layers) == 2 else [1, 2, 1, 2, 1, 2]
    h = F.leaky_relu(convolution(images, first, steps[0]), 0.2)
    for (w, gain, bias), stride in zip(layers, steps[1:], strict=True):
        h = F.leaky_relu(normed(convolution(h, w, stride), gain, bias), 0.2)
    return (h.flatten(1) @ weights[-1]).squeeze(1)
