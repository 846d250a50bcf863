"""One step of the two players, G against D, on one batch: what they learn (`players.py`) becomes updates here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import nn

from dcgan import distributed
from dcgan.config import Config
from dcgan.data.augment import chances
from dcgan.data.batches import Batch
from dcgan.networks import build_discriminator, build_generator
from dcgan.training.augmentation import Augmentation
from dcgan.training.capture import Captured
from dcgan.training.ema import Average
from dcgan.training.memory import Memory
from dcgan.training.optimizer import adam, descend, restore, set_rate
from dcgan.training.parallel import average_statistics, in_parallel
from dcgan.training.pieces import Piece
from dcgan.training.players import BOTH, D_ALONE, G_ALONE, Move, Players
from dcgan.training.rotation import Rotation

Network = TypeVar("Network", bound=nn.Module)
SUMS_G, SUMS_D = ("loss_g", "grad_g"), ("loss_d", "d_real", "d_fake", "d_right", "grad_d")
"""What an update of G, and one of D, adds to; one of a D that learns to tell turns adds to `d_turn` as well."""


class TrainingStep:
    """Both networks, their optimisers, the average of G and the source of noise; calling it trains one step.

    A step with `joint` updates is the blog post's: G on a fresh latent, then D on the real batch and on the
    same drawings, made before G's update. With `alternate` it is the authors': each batch trains G or D.
    Nothing in a step waits for the device; `means` reads what the steps since the last reading summed up.
    On a GPU a move is recorded once and replayed from then on (`Captured`). Of several processes each has a share of
    the batch, draws what is random for all of it, and updates by the mean gradient: all networks stay the same.
    A batch is played as a whole or in pieces (`Memory`), and there is one update for all of it.
    """

    def __init__(
        self,
        config: Config,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        report: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.settings, self.net, self.device, self.dtype = config.training, config.network, device, dtype
        self.flip, self.report = config.data.flip, report
        sync = self.settings.sync_batchnorm
        self.generator = in_parallel(_placed(build_generator(config.network), device), sync)
        self.discriminator = in_parallel(_placed(build_discriminator(config.network), device), sync)
        self.average = Average(self.generator, self.settings.ema)
        self.augmentation = Augmentation(self.settings, device)
        self.rotation = _placed(Rotation(self.discriminator), device) if self.settings.rotation else None
        self.players = Players(
            self.settings,
            self.generator,
            self.discriminator,
            self.rotation,
            self.augmentation,
            device=device,
            dtype=dtype,
        )
        self.optimizer_g = adam(self.generator, self.settings, self.settings.lr)
        self.optimizer_d = adam(self.players.judges, self.settings, self.settings.lr_d or self.settings.lr)
        self.noise = torch.Generator(device).manual_seed(self.settings.seed)
        self.updates, self._factor = 0, 1.0
        self.pushed = 0.0
        """Updates of G, each as the share of the full learning rate that it had."""
        self._play = Captured(self.play, self.noise, report) if _recordable(device) else self.play
        self.memory = Memory(self.settings.micro_batch, [self.generator, self.discriminator], device)
        self._sums_d = SUMS_D + ("d_turn",) * bool(self.rotation)
        self._sums = {name: torch.zeros((), device=device) for name in SUMS_G + self._sums_d}
        self._counts = dict.fromkeys(self._sums, 0)
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
            for name in SUMS_G * move.generator + self._sums_d * move.discriminator:
                self._counts[name] += 1
            if move.generator:
                self.average.update()
                self.pushed += self._factor
            if move.discriminator:
                self.augmentation.after_look(taken)
        self.updates += 1
        return shown

    def play(self, move: Move, images: torch.Tensor, labels: torch.Tensor | None) -> None:
        """Update what the move says on a batch of uint8 images, without a look at any value: a graph can hold it."""
        batch = self.deal(move, images, labels)
        said = self.memory.fit(len(images), lambda most: self._learn(move, batch, most), self._shrunk)
        if move.generator:
            said["grad_g"] = descend(self.optimizer_g, said["loss_g"], self._refused)
        if move.discriminator:
            said["grad_d"] = descend(self.optimizer_d, said.pop("objective_d"), self._refused)
            if self.augmentation.adaptive:
                self.augmentation.see(said.pop("sign"))
        torch._foreach_add_([self._sums[name] for name in said], list(said.values()))

    def deal(self, move: Move, images: torch.Tensor, labels: torch.Tensor | None) -> Piece:
        """The batch with all that is random in the move, drawn for the whole of it and in the order written here."""
        n, settings = len(images), self.settings
        slopes = move.discriminator and settings.loss == "wasserstein" and settings.gradient_penalty
        return Piece(
            images=images,
            labels=None if labels is None else labels.to(self.device, non_blocking=True),
            mirror=self._random(n) if self.flip else None,
            augment_real=chances(n, self.noise) if move.augmented else None,
            z=self.latent(n),
            augment_drawn=chances(n, self.noise) if move.augmented else None,
            mix=self._random(n) if slopes else None,
            turn=self._random(n) if move.discriminator and self.rotation else None,
        )

    def _learn(self, move: Move, batch: Piece, most: int) -> dict[str, torch.Tensor]:
        """The gradients of the batch in pieces of at most `most` images, in the parameters; returns its means."""
        for optimizer in [self.optimizer_g] * move.generator + [self.optimizer_d] * move.discriminator:
            optimizer.zero_grad()
        first, *others = batch.split(most)
        said = self.players.learn(move, first)
        for piece in others:
            for name, part in self.players.learn(move, piece).items():
                said[name] += part
        return said

    def _shrunk(self, told: str) -> None:
        """Smaller pieces from here on: let go of the gradients, and of recordings, which are of larger ones."""
        for optimizer in self._optimizers().values():
            optimizer.zero_grad()
        if isinstance(self._play, Captured):
            self._play.forget()
        self.report(f"step {self.updates:,}: {told}")

    def latent(self, n: int) -> torch.Tensor:
        """Fresh noise (n, latent_dim) of the network's distribution."""
        z = torch.empty(n * distributed.world(), self.net.latent_dim, device=self.device)
        if self.net.latent == "uniform":
            z.uniform_(-1, 1, generator=self.noise)
        else:
            z.normal_(generator=self.noise)
        return distributed.own_share(z)

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
        self._counts = dict.fromkeys(self._sums, 0)
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
            "pushed": self.pushed,
            "augmentation": self.augmentation.counters(),
            "counts": self._counts,
            "micro_batch": self.memory.most,
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
        self.pushed = counters.get("pushed", 0.0)
        self._counts = dict(counters["counts"])
        self.memory.most = counters.get("micro_batch", self.memory.most)
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
        settings = self.settings
        if settings.updates == "alternate":
            turn, place = divmod(self.updates, settings.d_steps + 1)
            moves, looks = [D_ALONE if place else G_ALONE], turn * settings.d_steps + place - 1
        else:
            moves, looks = [BOTH] + [D_ALONE] * (settings.d_steps - 1), self.updates * settings.d_steps
        penalties, augmented = bool(settings.r1 or settings.r2), self.augmentation.p > 0
        return [
            move._replace(
                augmented=augmented,
                penalised=move.discriminator and penalties and update % settings.r1_interval == 0,
            )
            for update, move in enumerate(moves, looks)  # of D, counted from 0
        ]

    def _random(self, n: int) -> torch.Tensor:
        """A number in [0, 1) for each image, (n, 1, 1, 1)."""
        whole = torch.rand(n * distributed.world(), 1, 1, 1, device=self.device, generator=self.noise)
        return distributed.own_share(whole)

    def _networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        networks |= {"average": self.average.network} if self.settings.ema else {}
        return networks | ({"rotation": self.rotation} if self.rotation else {})

    def _optimizers(self) -> dict[str, torch.optim.Adam]:
        return {"optimizer_g": self.optimizer_g, "optimizer_d": self.optimizer_d}


def _recordable(device: torch.device) -> bool:
    """Of several processes a step is not recorded: whether what they say to each other can be is for a GPU to show."""
    return device.type == "cuda" and distributed.world() == 1


def _placed(network: Network, device: torch.device) -> Network:
    """On the device, with weights in the memory layout that its convolutions like best."""
    return network.to(device).to(memory_format=torch.channels_last)


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix + "."): t for name, t in tensors.items() if name.startswith(prefix + ".")}
