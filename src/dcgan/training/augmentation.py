"""How likely the images that D sees are augmented: never, always equally, or as far as D learns them by heart."""

from __future__ import annotations

from typing import Any

import torch

from dcgan import distributed
from dcgan.config import TrainingConfig
from dcgan.data.augment import augment

TARGET = 0.6
"""The mean sign of D's decisions on real images that adaptive augmentation aims at (Karras et al. 2020)."""
FULL_IMAGES = 100_000
"""Images in which p may go from 0 to 1. Theirs is 500,000, for trainings of 25 million; ours are of one or two."""
LOOKS = 16
"""Updates of D between two decisions: the only times that the host looks at a value on the device."""


class Augmentation:
    """The probability p of each augmentation, and what decides it. While p is 0 there is nothing to do.

    Adaptive: p begins at 0, and rises while D is surer of real images than TARGET, falls while it is less sure.
    """

    def __init__(self, settings: TrainingConfig, device: torch.device) -> None:
        self.adaptive, self.most = settings.augment == "adaptive", settings.augment_p
        self.p = settings.augment_p if settings.augment == "fixed" else 0.0
        self._p = torch.tensor(self.p, device=device)  # a recorded step reads it anew each time
        self._signs = torch.zeros((), device=device)
        self._looks = self._images = 0

    def __call__(self, images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) as D is to see them, float32; u: their `chances` (N, 10)."""
        return augment(images, self._p, u)

    def see(self, sign: torch.Tensor) -> None:
        """Take the mean sign of D's decisions on a batch of real images; waits for nothing."""
        self._signs += sign.detach()

    def after_look(self, images: int) -> None:
        """Count an update of D on so many real images, and settle p anew when it is time."""
        if not self.adaptive:
            return
        self._looks, self._images = self._looks + 1, self._images + images
        if self._looks < LOOKS:
            return
        distributed.average_([self._signs])
        sure = self._signs.item() / self._looks
        step = self._images / FULL_IMAGES * ((sure > TARGET) - (sure < TARGET))
        self.p = round(min(max(self.p + step, 0.0), self.most), 9)  # up and down again is 0, not 1e-18
        self._p.fill_(self.p)
        self._signs.zero_()
        self._looks = self._images = 0

    def settle(self) -> None:
        """Make what each of several processes has seen the mean of all."""
        if self.adaptive:
            distributed.average_([self._signs])

    def tensors(self) -> dict[str, torch.Tensor]:
        """What a resume needs, with `counters`; nothing unless adaptive."""
        return {"signs": self._signs} if self.adaptive else {}

    def counters(self) -> dict[str, Any]:
        """The plain numbers beside `tensors`."""
        return {"p": self.p, "looks": self._looks, "images": self._images} if self.adaptive else {}

    def restore(self, tensors: dict[str, torch.Tensor], counters: dict[str, Any]) -> None:
        """Become what `tensors` and `counters` recorded."""
        if self.adaptive:
            self.p, self._looks, self._images = counters["p"], counters["looks"], counters["images"]
            self._p.fill_(self.p)
            self._signs.copy_(tensors["signs"])
