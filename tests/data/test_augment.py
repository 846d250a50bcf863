"""Augmentation against plain loops over images and pixels, with the same random numbers."""

import numpy as np
import pytest
import torch

from dcgan.data.augment import augment, chances


def images(n, c, h, w, dtype=torch.float64):
    noise = torch.Generator().manual_seed(7)
    return (
        torch.randn(n, c, h, w, generator=noise, dtype=dtype).clamp(-1, 1).contiguous(memory_format=torch.channels_last)
    )


def augmented(x, p, seed=3):
    return augment(x, torch.tensor(p), chances(len(x), torch.Generator().manual_seed(seed)))


def plain(x, p, seed=3):
    """One image at a time, as the papers describe it: colour, then translation, then a hole."""
    x = x.double().numpy()
    n, c, h, w = x.shape
    u = torch.rand(10, n, generator=torch.Generator().manual_seed(seed)).double().numpy()
    result = np.zeros((n, c, h, w))
    for i in range(n):
        image, (brightness, contrast, saturation, down, right, top, left) = x[i].copy(), u[3:, i]
        if u[0, i] < p:
            rgb = image[:3]
            if c >= 3:
                grey = rgb.mean(0)
                rgb = grey + 2 * saturation * (rgb - grey)
            rgb = rgb.mean() + (0.5 + contrast) * (rgb - rgb.mean())
            image[:3] = rgb + brightness - 0.5
        moved = np.zeros_like(image)
        dy = dx = 0
        if u[1, i] < p:
            dy = int(down * (2 * round(h / 8) + 1)) - round(h / 8)
            dx = int(right * (2 * round(w / 8) + 1)) - round(w / 8)
        for y in range(h):
            for k in range(w):
                if 0 <= y - dy < h and 0 <= k - dx < w:
                    moved[:, y, k] = image[:, y - dy, k - dx]
        if u[2, i] < p:
            sizes = round(h / 2), round(w / 2)
            y, k = (int(v * (side + 1 - s % 2)) - s // 2 for v, side, s in zip((top, left), (h, w), sizes, strict=True))
            moved[:, max(y, 0) : y + sizes[0], max(k, 0) : k + sizes[1]] = 0
        result[i] = moved
    return torch.from_numpy(result)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 20), (4, 18, 12), (3, 17, 31)])
def test_every_image_is_that_of_plain_loops(shape, p):
    x = images(40, *shape)
    torch.testing.assert_close(augmented(x, p).double(), plain(x, p), rtol=1e-5, atol=1e-5)


def test_nothing_happens_at_0_and_each_kind_as_often_as_p_says():
    x = images(600, 1, 16, 16).float()
    assert torch.equal(augmented(x, 0.0), x)
    changed = (augmented(x, 0.3) - x).abs().amax((1, 2, 3)) > 1e-3
    # Untouched: 0.7 cubed, and the one in 25 of the moved that are moved by nothing.
    assert changed.float().mean() == pytest.approx(1 - 0.7 * 0.7 * (0.7 + 0.3 / 25), abs=5 * (0.25 / 600) ** 0.5)


def test_colour_leaves_alpha_alone():
    x = torch.full((50, 4, 16, 16), 0.25)
    y = augmented(x, 1.0)
    assert set(y[:, 3].unique().tolist()) == {0.0, 0.25}  # what came in from outside, and the holes
    assert len(y[:, :3].unique()) > 50


def test_gradients_flow_through_twice():
    x = images(3, 3, 9, 8, torch.float32).requires_grad_()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    (grad,) = torch.autograd.grad(((augmented(x, 1.0) ** 2) * weights).sum(), x, create_graph=True)
    # The map is affine, so the gradient's own derivative in direction v is 2 Aᵀ (w ⊙ A v).
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    (second,) = torch.autograd.grad(grad, x, v)
    step = augmented(x + v, 1.0) - augmented(x, 1.0)
    (expected,) = torch.autograd.grad((augmented(x, 1.0) * (2 * weights * step).detach()).sum(), x)
    torch.testing.assert_close(second, expected, rtol=1e-4, atol=1e-4)
    assert grad.flatten(1).any(1).all()


def test_the_numbers_are_float32_whatever_comes_in_and_stay_in_the_memory_layout():
    x = images(4, 3, 16, 16, torch.float32)
    expected = augmented(x.bfloat16().float(), 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        y = augmented(x.bfloat16(), 1.0)
    assert y.dtype == torch.float32
    assert torch.equal(y, expected)
    for channels in (1, 3, 4):
        assert augmented(images(4, channels, 16, 16), 1.0).is_contiguous(memory_format=torch.channels_last)


def test_images_differ_from_each_other_and_from_call_to_call():
    x = images(1, 1, 16, 16).float().expand(8, -1, -1, -1)
    noise = torch.Generator().manual_seed(0)
    first, second = (augment(x, torch.tensor(1.0), chances(8, noise)) for _ in range(2))
    assert len(torch.unique(torch.cat([first, second]).flatten(1), dim=0)) == 16
