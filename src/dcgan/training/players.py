"""What G and D learn from each other: the losses of the paper's two players, and their gradients.

Nothing is updated here. Gradients add up in the parameters, piece of a batch after piece, until `step.py` makes an
update of them. All of a piece's work comes before any update, so that D sees the drawings of the G that made them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from dcgan.config import TrainingConfig
from dcgan.images import to_float
from dcgan.losses import discriminator_loss, generator_loss, gradient_penalty, r1_penalty, real_sign, share_right
from dcgan.training.augmentation import Augmentation
from dcgan.training.pieces import Piece
from dcgan.training.rotation import Rotation

DROPOUT = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d


class Move(NamedTuple):
    """Who learns from a batch, whether D sees augmented images, and whether it is penalised by R1 and R2."""

    generator: bool
    discriminator: bool
    augmented: bool = False
    penalised: bool = False


BOTH, G_ALONE, D_ALONE = Move(True, True), Move(True, False), Move(False, True)


class Players:
    """Both networks, and how they see images and learn from them.

    What they say of a piece are means over its images, weighed by its share: all pieces add up to the batch's mean.
    """

    def __init__(
        self,
        settings: TrainingConfig,
        generator: nn.Module,
        discriminator: nn.Module,
        rotation: Rotation | None,
        augmentation: Augmentation,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.settings, self.generator, self.discriminator, self.rotation = settings, generator, discriminator, rotation
        self.judges = nn.ModuleList([discriminator, rotation]) if rotation else discriminator
        """D, and what learns with it: all that an update of D changes."""
        self.augmentation, self.device, self.dtype = augmentation, device, dtype
        self.parts = 2 if settings.d_loss_reduction == "mean" else 1
        """What D's halves are divided by, and with them the gradient penalty: its paper weighs it against their sum."""
        self.repeatable = not any(isinstance(module, DROPOUT) for module in discriminator.modules())

    def learn(self, move: Move, piece: Piece) -> dict[str, torch.Tensor]:
        """Add to the gradients what this piece says of whoever is to learn; its losses and D's means, by name."""
        said: dict[str, torch.Tensor] = {}
        real = self.real(piece)
        if move.generator:
            drawn, fake_logits, said = self.teach_generator(piece, real, again=move.discriminator)
        else:
            drawn, fake_logits = self.draw(piece), None
        if move.discriminator:
            said |= self.teach_discriminator(piece, real, drawn, fake_logits, move.penalised)
        return said

    def real(self, piece: Piece) -> torch.Tensor:
        """The real images as D sees them, as floats on the device: some mirrored if asked for, or augmented."""
        real = to_float(piece.images.to(self.device, non_blocking=True)).contiguous(memory_format=torch.channels_last)
        if piece.mirror is not None:
            real = torch.where(piece.mirror < 0.5, real.flip(3), real)
        return real if piece.augment_real is None else self.augmentation(real, piece.augment_real)

    @torch.no_grad()
    def draw(self, piece: Piece) -> torch.Tensor:
        """Images of G as it is, as D sees them, without a graph."""
        with self._autocast():
            drawn = self.generator(piece.z, piece.labels)
        return drawn if piece.augment_drawn is None else self.augmentation(drawn, piece.augment_drawn)

    def teach_generator(
        self, piece: Piece, real: torch.Tensor, again: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None, dict[str, torch.Tensor]]:
        """Gradients of G; returns the images it drew as D saw them, detached, D's logits of them, and the loss.

        The logits come with their graph if D is to learn from them `again`, and if it would give the same
        ones: without dropout D need not look twice at the same images. Otherwise they are None.
        """
        with self._autocast():
            drawn = self.generator(piece.z, piece.labels)
            if piece.augment_drawn is not None:
                drawn = self.augmentation(drawn, piece.augment_drawn)
            fake_logits = self.discriminator(drawn, piece.labels).float()
            real_logits = None
            if self.settings.loss == "relativistic":
                with torch.no_grad():
                    real_logits = self.discriminator(real, piece.labels).float()
        loss = piece.weigh(generator_loss(self.settings.loss, fake_logits, real_logits))
        shared = again and self.repeatable
        # D's own gradients are not wanted here.
        loss.backward(inputs=list(self.generator.parameters()), retain_graph=shared)
        return drawn.detach(), fake_logits if shared else None, {"loss_g": loss.detach()}

    def teach_discriminator(
        self,
        piece: Piece,
        real: torch.Tensor,
        drawn: torch.Tensor,
        fake_logits: torch.Tensor | None = None,
        penalised: bool = True,
    ) -> dict[str, torch.Tensor]:
        """Gradients of D on real and drawn images, in two passes: each has batch statistics of its own."""
        settings = self.settings
        with self._autocast():
            real_logits = self.discriminator(real, piece.labels).float()
            if fake_logits is None:
                fake_logits = self.discriminator(drawn, piece.labels).float()
        halves = discriminator_loss(settings.loss, real_logits, fake_logits, settings.label_smoothing)
        loss = (halves[0] + halves[1]) / self.parts
        turns, means = self._turns(piece, real)
        objective = piece.weigh(loss + self._penalties(piece, real, drawn, penalised) + turns)
        objective.backward(inputs=list(self.judges.parameters()))
        with torch.no_grad():
            means |= {
                "loss_d": loss,
                "d_real": real_logits.sigmoid().mean(),
                "d_fake": fake_logits.sigmoid().mean(),
                "d_right": share_right(settings.loss, real_logits, fake_logits, settings.label_smoothing),
            }
            if self.augmentation.adaptive:
                means["sign"] = real_sign(settings.loss, real_logits, fake_logits, settings.label_smoothing)
            return {name: piece.weigh(mean.detach()) for name, mean in means.items()} | {
                "objective_d": objective.detach()
            }

    def _turns(self, piece: Piece, real: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Weighted: what D's second task costs, and what is to be said of it; 0 and nothing if it has none."""
        if self.rotation is None or piece.turn is None:
            return torch.zeros((), device=self.device), {}
        with self._autocast():
            loss, right = self.rotation(self.discriminator, real, piece.labels, piece.turn)
        return self.settings.rotation * loss, {"d_turn": right}

    def _penalties(self, piece: Piece, real: torch.Tensor, drawn: torch.Tensor, penalised: bool) -> torch.Tensor:
        """Weighted: the wasserstein loss's gradient penalty, the others' R1 and R2; second derivatives in float32.

        Where R1 and R2 come at every k-th turn only, they count k times.
        """
        settings, penalty = self.settings, torch.zeros((), device=self.device)

        def judge(images: torch.Tensor) -> torch.Tensor:
            return self.discriminator(images, piece.labels)

        if piece.mix is not None:
            lipschitz = gradient_penalty(judge, real, drawn.float(), piece.mix)
            penalty = penalty + settings.gradient_penalty * lipschitz / self.parts
        for weight, images in ((settings.r1, real), (settings.r2, drawn)):
            if penalised and weight and settings.loss != "wasserstein":
                penalty = penalty + weight * settings.r1_interval * r1_penalty(judge, images)
        return penalty

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
