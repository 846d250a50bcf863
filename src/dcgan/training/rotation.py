"""D's second task: to tell by how many quarter turns a real image is turned (Chen et al. 2019, SS-GAN).

To tell it takes knowing what things look like, and D keeps knowing it however good G becomes. The paper's D learns
from the game alone. What is learned here besides serves D's features (`docs/features.md`), without a label.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import skip_init

from dcgan.networks.discriminators import features_of

TURNS = 4


class Rotation(nn.Module):
    """The linear layer that tells the turn from what D's last layer judges. It is no part of the finished D.

    It begins at 0, and so without an opinion: the chances of everything else that is random stay what they were.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        to_logit = discriminator.get_submodule("to_logit")
        assert isinstance(to_logit, nn.Linear)
        self.to_turn = skip_init(nn.Linear, to_logit.in_features, TURNS)  # its usual start would draw random numbers
        nn.init.zeros_(self.to_turn.weight)
        nn.init.zeros_(self.to_turn.bias)

    def forward(
        self, discriminator: nn.Module, images: torch.Tensor, labels: torch.Tensor | None, u: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy of the turns, and the share told right; u: (N, 1, 1, 1) in [0, 1), each image's own turn."""
        turns = (TURNS * u.flatten()).long()
        logits = self.to_turn(features_of(discriminator, turned(images, turns), labels)).float()
        return nn.functional.cross_entropy(logits, turns), (logits.argmax(1) == turns).float().mean()


def turned(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Square images (N, C, S, S), each turned anticlockwise by its number of quarter turns (N,), in [0, 4)."""
    result, turns = images, turns.view(-1, 1, 1, 1)
    for k in range(1, TURNS):
        result = torch.where(turns == k, images.rot90(k, (2, 3)), result)
    return result.contiguous(memory_format=torch.channels_last)
