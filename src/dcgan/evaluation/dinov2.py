"""DINOv2's ViT-S/14, as much of it as features need.

torch-fidelity has it from torch hub, which runs a repository's code and cannot be given a file of weights; this
is the same network (names and numbers of `dinov2_vits14`, Oquab et al. 2023), read from the published file.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

WIDTH, DEPTH, HEADS, PATCH = 384, 12, 6, 14
SIDE, TRAINED_SIDE = 224, 518
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepared(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 (N, 3, H, W) → float32 (N, 3, 224, 224), resized as torch-fidelity does, normalised as in ImageNet."""
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    resized = interpolate_bilinear_2d_like_tensorflow1x(pixels.float(), size=(SIDE, SIDE), align_corners=False)
    mean, deviation = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (resized / 255 - mean) / deviation


class VisionTransformer(nn.Module):
    """Normalised images (N, 3, 224, 224) → the class token's features (N, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, (TRAINED_SIDE // PATCH) ** 2 + 1, WIDTH))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, WIDTH, PATCH, PATCH)})
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)  # (N, 256, 384)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self._positions()
        for block in self.blocks:
            x = block(x)
        return self.norm(x[:, 0])

    def _positions(self) -> torch.Tensor:
        """The learnt positions of 37x37 patches, interpolated to 16x16; the 0.1 is the authors'."""
        trained, side = TRAINED_SIDE // PATCH, SIDE // PATCH
        grid = self.pos_embed[:, 1:].reshape(1, trained, trained, WIDTH).permute(0, 3, 1, 2)
        scale = (side + 0.1) / trained
        grid = functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each on normalised tokens and added with a learnt scale."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        self.attn = Attention()
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, 4 * WIDTH), "fc2": nn.Linear(4 * WIDTH, WIDTH)})
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": nn.Parameter(torch.ones(WIDTH))}) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.ls1["gamma"] * self.attn(self.norm1(x))
        hidden = functional.gelu(self.mlp["fc1"](self.norm2(x)))
        return x + self.ls2["gamma"] * self.mlp["fc2"](hidden)


class Attention(nn.Module):
    """Tokens (N, T, 384) → the same, attending to each other in 6 heads."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)  # (N, 6, T, 64)
        return self.proj(mixed.transpose(1, 2).reshape(n, tokens, WIDTH))
