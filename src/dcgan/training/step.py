"""One step of the two players: G against D, on one batch. Everything that learns lives here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from dcgan import distributed
from dcgan.config import Config
from dcgan.data.batches import Batch
from dcgan.images import to_float
from dcgan.losses import discriminator_loss, generator_loss, gradient_penalty, r1_penalty, real_sign, share_right
from dcgan.networks import build_discriminator, build_generator
from dcgan.training.augmentation import Augmentation
from dcgan.training.capture import Captured
from dcgan.training.ema import Average
from dcgan.training.optimizer import adam, descend, restore, set_rate
from dcgan.training.parallel import average_statistics, in_parallel

SUMS_G, SUMS_D = ("loss_g", "grad_g"), ("loss_d", "d_real", "d_fake", "d_right", "grad_d")


class Move(NamedTuple):
    """Who is updated on a batch, whether D sees augmented images, and whether it is penalised by R1 and R2."""

    generator: bool
    discriminator: bool
    augmented: bool = False
    penalised: bool = False

    @property
    def sums(self) -> tuple[str, ...]:
        """The names that such an update adds to."""
        return SUMS_G * self.generator + SUMS_D * self.discriminator


DROPOUT = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d
BOTH, G_ALONE, D_ALONE = Move(True, True), Move(True, False), Move(False, True)


class TrainingStep:
    """Both networks, their optimisers, the average of G and the source of noise; calling it trains one step.

    A step with `joint` updates is the blog post's: G on a fresh latent, then D on the real batch and on the
    same drawings, made before G's update. With `alternate` it is the authors': each batch trains G or D.
    Nothing in a step waits for the device; `means` reads what the steps since the last reading summed up.
    On a GPU a move is recorded once and replayed from then on (`Captured`). Of several processes each has a share of
    the batch, draws what is random for all of it, and updates by the mean gradient: all networks stay the same.
    """

    def __init__(
        self,
        config: Config,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        report: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.settings, self.net, self.device, self.dtype = config.training, config.network, device, dtype
        self.flip = config.data.flip
        sync = self.settings.sync_batchnorm
        self.generator = in_parallel(_placed(build_generator(config.network), device), sync)
        self.discriminator = in_parallel(_placed(build_discriminator(config.network), device), sync)
        self.average = Average(self.generator, self.settings.ema)
        self.augmentation = Augmentation(self.settings, device)
        self.optimizer_g = adam(self.generator, self.settings, self.settings.lr)
        self.optimizer_d = adam(self.discriminator, self.settings, self.settings.lr_d or self.settings.lr)
        self.noise = torch.Generator(device).manual_seed(self.settings.seed)
        self.updates, self._factor = 0, 1.0
        self._repeatable = not any(isinstance(module, DROPOUT) for module in self.discriminator.modules())
        self._play = Captured(self.play, self.noise, report) if _recordable(device) else self.play
        self._sums = {name: torch.zeros((), device=device) for name in SUMS_G + SUMS_D}
        self._counts = dict.fromkeys(SUMS_G + SUMS_D, 0)
        self._refused = torch.zeros((), device=device)

    def __call__(self, batches: Iterator[Batch]) -> int:
        """Train one step on the next batch or batches; returns how many real images it took."""
        shown = 0
        moves = self._moves()
        fetched = [next(batches) for _ in moves]  # all at once: if the data is gone, nothing of the step has been done
        for move, (images, labels) in zip(moves, fetched, strict=True):
            self._play(move, images, labels if self.net.conditional else None)
            taken = len(images) * distributed.world()
            shown += taken
            for name in move.sums:
                self._counts[name] += 1
            if move.generator:
                self.average.update()
            if move.discriminator:
                self.augmentation.after_look(taken)
        self.updates += 1
        return shown

    def play(self, move: Move, images: torch.Tensor, labels: torch.Tensor | None) -> None:
        """Update what the move says on a batch of uint8 images, without a look at any value: a graph can hold it."""
        real, labels = self._prepare(images, labels)
        if move.augmented:
            real = self.augmentation(real, self.noise)
        if move.generator:
            drawn, fake_logits = self.update_generator(real, labels, move.augmented, again=move.discriminator)
        else:
            drawn, fake_logits = self.draw(len(real), labels), None
            if move.augmented:
                drawn = self.augmentation(drawn, self.noise)
        if move.discriminator:
            self.update_discriminator(real, drawn, labels, fake_logits, move.penalised)

    def update_generator(
        self, real: torch.Tensor, labels: torch.Tensor | None, augmented: bool = False, again: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """One update of G; returns the images it drew as D saw them, detached, and D's logits of them.

        The logits come with their graph if D is to be updated on them `again`, and if it would give the same
        ones: without dropout D need not look twice at the same images. Otherwise they are None.
        """
        with self._autocast():
            drawn = self.generator(self.latent(len(real)), labels)
            if augmented:
                drawn = self.augmentation(drawn, self.noise)
            fake_logits = self.discriminator(drawn, labels).float()
            real_logits = None
            if self.settings.loss == "relativistic":
                with torch.no_grad():
                    real_logits = self.discriminator(real, labels).float()
        loss = generator_loss(self.settings.loss, fake_logits, real_logits)
        shared = again and self._repeatable
        self.optimizer_g.zero_grad()
        # D's own gradients are not wanted here.
        loss.backward(inputs=list(self.generator.parameters()), retain_graph=shared)
        self._add(loss_g=loss, grad_g=descend(self.optimizer_g, loss, self._refused))
        return drawn.detach(), fake_logits if shared else None

    def update_discriminator(
        self,
        real: torch.Tensor,
        drawn: torch.Tensor,
        labels: torch.Tensor | None,
        fake_logits: torch.Tensor | None = None,
        penalised: bool = True,
    ) -> None:
        """One update of D on real and drawn images, in two passes: each has batch statistics of its own."""
        settings = self.settings
        with self._autocast():
            real_logits = self.discriminator(real, labels).float()
            if fake_logits is None:
                fake_logits = self.discriminator(drawn, labels).float()
        halves = discriminator_loss(settings.loss, real_logits, fake_logits, settings.label_smoothing)
        loss = halves[0] + halves[1]
        if settings.d_loss_reduction == "mean":
            loss = loss / 2
        objective = loss + self._penalties(real, drawn, labels, penalised)
        self.optimizer_d.zero_grad()
        objective.backward(inputs=list(self.discriminator.parameters()))
        norm = descend(self.optimizer_d, objective, self._refused)
        with torch.no_grad():
            self._add(
                loss_d=loss,
                d_real=real_logits.sigmoid().mean(),
                d_fake=fake_logits.sigmoid().mean(),
                d_right=share_right(settings.loss, real_logits, fake_logits, settings.label_smoothing),
                grad_d=norm,
            )
        if self.augmentation.adaptive:
            self.augmentation.see(real_sign(settings.loss, real_logits, fake_logits, settings.label_smoothing))

    def latent(self, n: int) -> torch.Tensor:
        """Fresh noise (n, latent_dim) of the network's distribution."""
        z = torch.empty(n * distributed.world(), self.net.latent_dim, device=self.device)
        if self.net.latent == "uniform":
            z.uniform_(-1, 1, generator=self.noise)
        else:
            z.normal_(generator=self.noise)
        return distributed.own_share(z)

    @torch.no_grad()
    def draw(self, n: int, labels: torch.Tensor | None) -> torch.Tensor:
        """n images of G as it is, without a graph."""
        with self._autocast():
            return self.generator(self.latent(n), labels)

    def refused(self) -> bool:
        """Whether an update was not made since the last `restore` because it was not finite. Waits for the device."""
        return bool(self._refused)

    def reseed(self, seed: int) -> None:
        """Go on with other noise, and other dropout."""
        self.noise.manual_seed(seed)
        torch.manual_seed(seed)

    def set_rate(self, factor: float) -> None:
        """Scale both learning rates for the steps to come."""
        if factor == self._factor:
            return
        self._factor = factor
        set_rate(self.optimizer_g, self.settings.lr * factor)
        set_rate(self.optimizer_d, (self.settings.lr_d or self.settings.lr) * factor)

    def settle(self) -> None:
        """Make what each of several processes has for itself the mean of all: what is summed up, and norms' averages.

        To be called, in all of them, before any of it is looked at or saved.
        """
        if distributed.world() > 1:
            distributed.average_(list(self._sums.values()))
            self.augmentation.settle()
            if not self.settings.sync_batchnorm:
                average_statistics(self.generator, self.discriminator, self.average.network)

    def peek(self) -> dict[str, float]:
        """Mean losses and D's mean probabilities since the last `means`; what was not updated is left out."""
        means = {name: (self._sums[name] / n).item() for name, n in self._counts.items() if n}
        return means | ({"augment_p": self.augmentation.p} if self.augmentation.adaptive else {})

    def means(self) -> dict[str, float]:
        """`peek`, and begin anew."""
        result = self.peek()
        for total in self._sums.values():
            total.zero_()
        self._counts = dict.fromkeys(SUMS_G + SUMS_D, 0)
        return result

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything a resume needs, by name, as `restore` takes it."""
        state: dict[str, torch.Tensor] = {"noise": self.noise.get_state(), "torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        for prefix, network in self._networks().items():
            state |= {f"{prefix}.{name}": tensor for name, tensor in network.state_dict().items()}
        for prefix, optimizer in self._optimizers().items():
            for index, values in optimizer.state_dict()["state"].items():
                state |= {f"{prefix}.{index}.{name}": tensor for name, tensor in values.items()}
        state |= {f"augmentation.{name}": tensor for name, tensor in self.augmentation.tensors().items()}
        return state | {f"sums.{name}": total for name, total in self._sums.items()}

    def counters(self) -> dict[str, Any]:
        """The plain numbers beside `tensors`."""
        return {
            "updates": self.updates,
            "average": self.average.updates,
            "augmentation": self.augmentation.counters(),
            "counts": self._counts,
        }

    def restore(self, tensors: dict[str, torch.Tensor], counters: dict[str, Any]) -> None:
        """Become what `tensors` and `counters` recorded."""
        for prefix, network in self._networks().items():
            network.load_state_dict(_under(tensors, prefix))
        for prefix, optimizer in self._optimizers().items():
            restore(optimizer, _under(tensors, prefix))
        for name, total in self._sums.items():
            total.copy_(tensors[f"sums.{name}"])
        self.updates, self.average.updates = counters["updates"], counters["average"]
        self._counts = dict(counters["counts"])
        self.augmentation.restore(_under(tensors, "augmentation"), counters.get("augmentation", {}))
        self._refused.zero_()
        if isinstance(self._play, Captured):
            self._play.forget()  # the optimisers' tensors are others now
        self.noise.set_state(tensors["noise"])
        torch.set_rng_state(tensors["torch"])
        if "cuda" in tensors and self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["cuda"], self.device)

    def _moves(self) -> list[Move]:
        """Who is updated in this step, a batch each."""
        settings, turn = self.settings, self.updates
        if settings.updates == "alternate":
            turn, place = divmod(self.updates, settings.d_steps + 1)
            moves = [D_ALONE if place else G_ALONE]
        else:
            moves = [BOTH] + [D_ALONE] * (settings.d_steps - 1)
        penalised = bool(settings.r1 or settings.r2) and turn % settings.r1_interval == 0
        augmented = self.augmentation.p > 0
        return [m._replace(augmented=augmented, penalised=penalised and m.discriminator) for m in moves]

    def _prepare(self, images: torch.Tensor, labels: torch.Tensor | None) -> Batch:
        """A batch on the device, as floats, some images mirrored if asked for."""
        real = to_float(images.to(self.device, non_blocking=True)).contiguous(memory_format=torch.channels_last)
        if self.flip:
            mirrored = self._random(len(real)) < 0.5
            real = torch.where(mirrored, real.flip(3), real)
        return real, None if labels is None else labels.to(self.device, non_blocking=True)

    def _penalties(
        self, real: torch.Tensor, drawn: torch.Tensor, labels: torch.Tensor | None, penalised: bool
    ) -> torch.Tensor:
        """Weighted: the wasserstein loss's gradient penalty, the others' R1 and R2; second derivatives in float32.

        Where R1 and R2 come at every k-th turn only, they count k times.
        """
        settings, penalty = self.settings, torch.zeros((), device=self.device)
        if settings.loss == "wasserstein" and settings.gradient_penalty:
            mix = self._random(len(real))
            lipschitz = gradient_penalty(lambda x: self.discriminator(x, labels), real, drawn.float(), mix)
            penalty = penalty + settings.gradient_penalty * lipschitz
        for weight, images in ((settings.r1, real), (settings.r2, drawn)):
            if penalised and weight and settings.loss != "wasserstein":
                steep = r1_penalty(lambda x: self.discriminator(x, labels), images)
                penalty = penalty + weight * settings.r1_interval * steep
        return penalty

    def _random(self, n: int) -> torch.Tensor:
        """A number in [0, 1) for each image, (n, 1, 1, 1)."""
        whole = torch.rand(n * distributed.world(), 1, 1, 1, device=self.device, generator=self.noise)
        return distributed.own_share(whole)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _add(self, **values: torch.Tensor) -> None:
        torch._foreach_add_([self._sums[name] for name in values], [value.detach() for value in values.values()])

    def _networks(self) -> dict[str, nn.Module]:
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        return networks | ({"average": self.average.network} if self.settings.ema else {})

    def _optimizers(self) -> dict[str, torch.optim.Adam]:
        return {"optimizer_g": self.optimizer_g, "optimizer_d": self.optimizer_d}


def _recordable(device: torch.device) -> bool:
    """Of several processes a step is not recorded: whether what they say to each other can be is for a GPU to show."""
    return device.type == "cuda" and distributed.world() == 1


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """On the device, with weights in the memory layout that its convolutions like best."""
    return network.to(device).to(memory_format=torch.channels_last)


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix + "."): t for name, t in tensors.items() if name.startswith(prefix + ".")}
