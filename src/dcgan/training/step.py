"""One step of the two players: G against D, on one batch. Everything that learns lives here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from dcgan.config import Config
from dcgan.images import to_float
from dcgan.losses import discriminator_loss, generator_loss, gradient_penalty, r1_penalty
from dcgan.networks import build_discriminator, build_generator
from dcgan.training.ema import Average

Batch = tuple[torch.Tensor, torch.Tensor | None]
SUMS = ("loss_d", "loss_g", "d_real", "d_fake")


class TrainingStep:
    """Both networks, their optimisers, the average of G and the source of noise; calling it trains one step.

    A step with `joint` updates is the blog post's: G on a fresh latent, then D on the real batch and on the
    same drawings, made before G's update. With `alternate` it is the authors': each batch trains G or D.
    Nothing in a step waits for the device; `means` reads what the steps since the last reading summed up.
    """

    def __init__(self, config: Config, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.settings, self.net, self.device, self.dtype = config.training, config.network, device, dtype
        self.flip = config.data.flip
        self.generator = _placed(build_generator(config.network), device)
        self.discriminator = _placed(build_discriminator(config.network), device)
        self.average = Average(self.generator, self.settings.ema)
        self.optimizer_g = self._adam(self.generator, self.settings.lr)
        self.optimizer_d = self._adam(self.discriminator, self.settings.lr_d or self.settings.lr)
        self.noise = torch.Generator(device).manual_seed(self.settings.seed)
        self.updates = 0
        self._sums = {name: torch.zeros((), device=device) for name in SUMS}
        self._counts = dict.fromkeys(SUMS, 0)

    def __call__(self, batches: Iterator[Batch]) -> int:
        """Train one step on the next batch or batches; returns how many real images it took."""
        real, labels = self._next(batches)
        shown = len(real)
        if self.settings.updates == "alternate":
            if self.updates % (self.settings.d_steps + 1) == 0:
                self.update_generator(real, labels)
            else:
                self.update_discriminator(real, self.draw(shown, labels), labels)
        else:
            drawn = self.update_generator(real, labels)
            self.update_discriminator(real, drawn, labels)
            for _ in range(self.settings.d_steps - 1):
                real, labels = self._next(batches)
                shown += len(real)
                self.update_discriminator(real, self.draw(len(real), labels), labels)
        self.updates += 1
        return shown

    def update_generator(self, real: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        """One update of G and of its average; returns the images it drew, detached."""
        with self._autocast():
            drawn = self.generator(self.latent(len(real)), labels)
            fake_logits = self.discriminator(drawn, labels).float()
            real_logits = None
            if self.settings.loss == "relativistic":
                with torch.no_grad():
                    real_logits = self.discriminator(real, labels).float()
        loss = generator_loss(self.settings.loss, fake_logits, real_logits)
        self.optimizer_g.zero_grad()
        loss.backward(inputs=list(self.generator.parameters()))  # D's own gradients are not wanted here
        self.optimizer_g.step()
        self.average.update()
        self._add(loss_g=loss)
        return drawn.detach()

    def update_discriminator(self, real: torch.Tensor, drawn: torch.Tensor, labels: torch.Tensor | None) -> None:
        """One update of D on real and drawn images, in two passes: each has batch statistics of its own."""
        settings = self.settings
        with self._autocast():
            real_logits = self.discriminator(real, labels).float()
            fake_logits = self.discriminator(drawn, labels).float()
        halves = discriminator_loss(settings.loss, real_logits, fake_logits, settings.label_smoothing)
        loss = halves[0] + halves[1]
        if settings.d_loss_reduction == "mean":
            loss = loss / 2
        objective = loss + self._penalties(real, drawn, labels)
        self.optimizer_d.zero_grad()
        objective.backward()
        self.optimizer_d.step()
        self._add(loss_d=loss, d_real=real_logits.sigmoid().mean(), d_fake=fake_logits.sigmoid().mean())

    def latent(self, n: int) -> torch.Tensor:
        """Fresh noise (n, latent_dim) of the network's distribution."""
        z = torch.empty(n, self.net.latent_dim, device=self.device)
        if self.net.latent == "uniform":
            return z.uniform_(-1, 1, generator=self.noise)
        return z.normal_(generator=self.noise)

    @torch.no_grad()
    def draw(self, n: int, labels: torch.Tensor | None) -> torch.Tensor:
        """n images of G as it is, without a graph."""
        with self._autocast():
            return self.generator(self.latent(n), labels)

    def set_rate(self, factor: float) -> None:
        """Scale both learning rates for the steps to come."""
        for optimizer, lr in ((self.optimizer_g, self.settings.lr), (self.optimizer_d, self.settings.lr_d)):
            for group in optimizer.param_groups:
                group["lr"] = (lr or self.settings.lr) * factor

    def peek(self) -> dict[str, float]:
        """Mean losses and D's mean probabilities since the last `means`; what was not updated is left out."""
        return {name: (self._sums[name] / n).item() for name, n in self._counts.items() if n}

    def means(self) -> dict[str, float]:
        """`peek`, and begin anew."""
        result = self.peek()
        for total in self._sums.values():
            total.zero_()
        self._counts = dict.fromkeys(SUMS, 0)
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
        return state | {f"sums.{name}": total for name, total in self._sums.items()}

    def counters(self) -> dict[str, Any]:
        """The plain numbers beside `tensors`."""
        return {"updates": self.updates, "average": self.average.updates, "counts": self._counts}

    def restore(self, tensors: dict[str, torch.Tensor], counters: dict[str, Any]) -> None:
        """Become what `tensors` and `counters` recorded."""
        for prefix, network in self._networks().items():
            network.load_state_dict(_under(tensors, prefix))
        for prefix, optimizer in self._optimizers().items():
            _restore_optimizer(optimizer, _under(tensors, prefix))
        for name, total in self._sums.items():
            total.copy_(tensors[f"sums.{name}"])
        self.updates, self.average.updates = counters["updates"], counters["average"]
        self._counts = dict(counters["counts"])
        self.noise.set_state(tensors["noise"])
        torch.set_rng_state(tensors["torch"])
        if "cuda" in tensors and self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["cuda"], self.device)

    def _next(self, batches: Iterator[Batch]) -> Batch:
        """The next batch on the device, as floats, some images mirrored if asked for."""
        images, labels = next(batches)
        real = to_float(images.to(self.device, non_blocking=True)).contiguous(memory_format=torch.channels_last)
        if self.flip:
            mirrored = torch.rand(len(real), 1, 1, 1, device=self.device, generator=self.noise) < 0.5
            real = torch.where(mirrored, real.flip(3), real)
        wanted = labels if self.net.conditional else None
        return real, None if wanted is None else wanted.to(self.device, non_blocking=True)

    def _penalties(self, real: torch.Tensor, drawn: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor | float:
        """R1 and the gradient penalty, weighted; second derivatives are taken in float32."""
        penalty: torch.Tensor | float = 0.0
        if self.settings.r1:
            penalty = penalty + self.settings.r1 * r1_penalty(lambda x: self.discriminator(x, labels), real)
        if self.settings.loss == "wasserstein" and self.settings.gradient_penalty:
            mix = torch.rand(len(real), 1, 1, 1, device=self.device, generator=self.noise)
            lipschitz = gradient_penalty(lambda x: self.discriminator(x, labels), real, drawn.float(), mix)
            penalty = penalty + self.settings.gradient_penalty * lipschitz
        return penalty

    def _adam(self, network: nn.Module, lr: float) -> torch.optim.Adam:
        s = self.settings
        fused = self.device.type in ("cpu", "cuda")
        return torch.optim.Adam(network.parameters(), lr, (s.beta1, s.beta2), weight_decay=s.weight_decay, fused=fused)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _add(self, **values: torch.Tensor) -> None:
        for name, value in values.items():
            self._sums[name] += value.detach()
            self._counts[name] += 1

    def _networks(self) -> dict[str, nn.Module]:
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        return networks | ({"average": self.average.network} if self.settings.ema else {})

    def _optimizers(self) -> dict[str, torch.optim.Adam]:
        return {"optimizer_g": self.optimizer_g, "optimizer_d": self.optimizer_d}


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """On the device, with weights in the memory layout that its convolutions like best."""
    return network.to(device).to(memory_format=torch.channels_last)


def _restore_optimizer(optimizer: torch.optim.Adam, tensors: dict[str, torch.Tensor]) -> None:
    """Take over the saved moments in the memory layout of their parameters: fused Adam reads both side by side."""
    parameters = optimizer.param_groups[0]["params"]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, field = name.partition(".")
        like = parameters[int(index)]
        value = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
        state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix + "."): t for name, t in tensors.items() if name.startswith(prefix + ".")}
