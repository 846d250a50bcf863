"""What the authors' released D says of images of several kinds, with its kernels flipped and not: which is right?

    dcgan import-authors FOLDER --out runs/svhn-authors
    python benchmarks/authors_discriminator.py runs/svhn-authors --digits data/mnist [--photographs data/cifar10 …]

1,024 images of each kind, in batches of 64. Digits are real handwritten ones, laid softly in one colour on another as
house numbers are: neither G nor the authors made them. "upright" is the share of images that D finds more real than
the same one upside down, and "unmirrored" than the same one mirrored; 0.5 is a D that cannot tell.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, pad

import dcgan
from dcgan.export.authors import flip_kernels
from dcgan.presets import load_preset
from dcgan.progress import Display
from dcgan.training.prepare import prepare

NUMBER, BATCH = 1_024, 64


def real(data: str, channels: int) -> torch.Tensor:
    """Images of a set at 32×32 in [0, 1], as evenly from all of it as can be: (N, C, H, W)."""
    settings = load_preset("fast").replace(data=data, image_size=32, channels=channels)
    images = prepare(settings, Display(quiet=True)).pack.images
    chosen = np.random.default_rng(0).permutation(len(images))[:NUMBER]
    return torch.from_numpy(images[np.sort(chosen)]).permute(0, 3, 1, 2)[torch.randperm(NUMBER)] / 255


def house_numbers(digits: torch.Tensor) -> torch.Tensor:
    """Digits (N, 1, 32, 32) as soft numbers on a wall of another brightness, in uneven light: RGB in [-1, 1]."""
    wall = torch.rand(NUMBER, 3, 1, 1) * 0.3 + torch.rand(NUMBER, 1, 1, 1) * 0.7
    sign = torch.randint(0, 2, (NUMBER, 1, 1, 1)) * 2 - 1
    paint = (wall + sign * (0.3 + 0.3 * torch.rand(NUMBER, 1, 1, 1))).clamp(0, 1)
    soft = avg_pool2d(pad(digits, [2] * 4), 5, 1)
    ramp, slope = torch.linspace(-1, 1, 32), torch.randn(2, NUMBER, 1, 1, 1) * 0.05
    light = slope[0] * ramp.view(1, 1, 1, 32) + slope[1] * ramp.view(1, 1, 32, 1)
    return (wall * (1 - soft) + paint * soft + light).clamp(0, 1) * 2 - 1


@torch.inference_mode()
def logits(discriminator: dcgan.Discriminator, images: torch.Tensor) -> torch.Tensor:
    return torch.cat([discriminator(piece) for piece in images.split(BATCH)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--digits", default="mnist")
    parser.add_argument("--photographs", nargs="*", default=[])
    options = parser.parse_args()
    torch.manual_seed(0)
    samples = torch.from_numpy(dcgan.Generator.from_pretrained(options.run, "cpu").sample(NUMBER))
    kinds = {
        "its G's samples": samples.permute(0, 3, 1, 2) / 127.5 - 1,
        "digits as house numbers": house_numbers(real(options.digits, 1)),
        **{f"photographs {i + 1}": real(data, 3) * 2 - 1 for i, data in enumerate(options.photographs)},
        "uniform noise": torch.rand(NUMBER, 3, 32, 32) * 2 - 1,
    }
    discriminator = dcgan.Discriminator.from_pretrained(options.run, "cpu")
    print("| D's kernels | images | mean output | logits, mean ± deviation | upright | unmirrored |")
    print("|---|---|---:|---:|---:|---:|")
    for way in ("flipped", "not flipped"):
        for name, images in kinds.items():
            values = logits(discriminator, images)
            upright = (values > logits(discriminator, images.flip(2))).float().mean()
            unmirrored = (values > logits(discriminator, images.flip(3))).float().mean()
            spread = f"{values.mean():.1f} ± {values.std():.1f}"
            print(f"| {way} | {name} | {values.sigmoid().mean():.3f} | {spread} | {upright:.2f} | {unmirrored:.2f} |")
        flip_kernels(discriminator)
    print("\n| kernels flipped, by layer | its G's samples | uniform noise | upright samples |\n|---|---:|---:|---:|")
    layers = [module for module in discriminator.modules() if isinstance(module, torch.nn.Conv2d)]
    for flipped in itertools.product((True, False), repeat=len(layers)):
        for layer, stays in zip(layers, flipped, strict=True):
            if not stays:
                flip_kernels(layer)
        own, noise = (logits(discriminator, kinds[name]) for name in ("its G's samples", "uniform noise"))
        upright = (own > logits(discriminator, kinds["its G's samples"].flip(2))).float().mean()
        means = f"{own.sigmoid().mean():.3f} | {noise.sigmoid().mean():.3f}"
        print(f"| {', '.join('yes' if yes else 'no' for yes in flipped)} | {means} | {upright:.2f} |")
        for layer, stays in zip(layers, flipped, strict=True):
            if not stays:
                flip_kernels(layer)


if __name__ == "__main__":
    main()
