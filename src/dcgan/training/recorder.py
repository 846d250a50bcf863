"""What a training leaves behind while it goes on: log lines, grids, checkpoints, the networks ready to use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dcgan
from dcgan.config import Config, NetworkConfig
from dcgan.data.batches import Batches, ReadAhead
from dcgan.data.pack import Pack
from dcgan.errors import InputError, TrainingError
from dcgan.pretrained import Discriminator, Generator, ModelInfo
from dcgan.progress import Display, Position
from dcgan.run import Run
from dcgan.training.checkpoint import Checkpoint, saved
from dcgan.training.step import TrainingStep


class Recorder:
    """Everything a training writes and shows. Owns the position, and the means of the last log line."""

    def __init__(
        self,
        config: Config,
        run: Run,
        pack: Pack,
        display: Display,
        step: TrainingStep,
        batches: Batches | ReadAhead,
    ) -> None:
        self.config, self.run, self.display, self.step, self.batches = config, run, display, step, batches
        self.position, self.metrics = Position(), dict[str, float]()
        self._logged = Position()
        self._rate = 0.0
        self._trained = {"preset": config.preset, "data": pack.source, "dcgan": dcgan.__version__}
        self._class_names = pack.class_names if config.network.conditional else ()
        self._rows, self._columns = _grid_shape(config.network)
        self._board = _tensorboard(run) if config.training.tensorboard else None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn a full disk or a vanished drive into words that say what is safe and how to go on."""
        try:
            yield
        except OSError as error:
            good = saved(self.run.checkpoints)
            kept = f"the last good checkpoint is {good[-1]}" if good else "there is no checkpoint yet"
            raise InputError(
                f"{self.run}: cannot be written ({error.strerror or error}); {kept}. "
                f"Mend that, then: dcgan train --resume {self.run}"
            ) from error

    def after_step(self, done: float) -> None:
        """Log, draw and save when it is time."""
        settings, number = self.config.training, self.position.step
        with self._writing():
            if number % settings.log_interval == 0:
                self.log()
            if number % settings.sample_interval == 0:
                self.sample()
            if number % settings.checkpoint_interval == 0:
                self.save()
        rate = self._rate or self.position.images / max(self.position.seconds, 1e-9)  # until there is a log line
        self.display.training(self.position, done, rate, self.metrics)

    def log(self) -> None:
        """One line of metrics: means since the last."""
        self._read_means()
        now, last = self.position, self._logged
        self._rate = (now.images - last.images) / max(now.seconds - last.seconds, 1e-9)
        self._logged = Position(now.step, now.images, now.seconds)
        record = {
            "step": now.step,
            "images": now.images,
            "seconds": round(now.seconds, 3),
            "images_per_second": round(self._rate, 1),
            **{name: round(value, 6) for name, value in self.metrics.items()},
        }
        self.run.log(record)
        if self._board:
            for name, value in record.items():
                self._board.add_scalar(name, value, now.images)

    def sample(self) -> None:
        """A grid of the fixed latents: those of seed --seed, as `dcgan sample` draws them."""
        n = self._rows * self._columns
        images = Generator(self.step.average.network, self._info()).sample(max(n, 25), self.config.training.seed)
        self.display.last_grid = self.run.save_grid(images[:n], self._columns, self.position.images)
        if self.config.training.batch_names:
            self.run.save_batch_grid(images, self.position.step)

    def save(self) -> None:
        """A checkpoint, and the networks ready to use."""
        self._require_finite(self.step.peek())
        Checkpoint(
            self.position, self.batches.state(), self.step.counters(), self.step.tensors(), self.config.to_dict()
        ).save(self.run.checkpoints, self.config.training.keep_checkpoints)
        Generator(self.step.average.network, self._info()).save_pretrained(self.run.path)
        Discriminator(self.step.discriminator, self._info()).save_pretrained(self.run.path)

    def finish(self) -> None:
        """Save, and show how it all came about."""
        with self._writing():
            self.save()
            self.sample()
            self.run.save_animation()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint as if nothing had been between."""
        self.step.restore(checkpoint.tensors, checkpoint.counters)
        self.batches.restore(checkpoint.place)
        self.position = checkpoint.position
        self._logged = Position(self.position.step, self.position.images, self.position.seconds)
        self.run.rewind(self.position.step)

    def _read_means(self) -> None:
        self.metrics = self.step.means()
        self._require_finite(self.metrics)

    def _require_finite(self, means: dict[str, float]) -> None:
        wrong = [f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)]
        if wrong:
            raise TrainingError(
                f"{' and '.join(wrong)} at step {self.position.step}: the training has diverged. "
                f"Nothing of it was saved after the last good checkpoint in {self.run.checkpoints}. "
                "A lower --lr or --precision fp32 usually helps."
            )

    def _info(self) -> ModelInfo:
        trained = self._trained | {"images": self.position.images, "seconds": round(self.position.seconds, 1)}
        return ModelInfo(self.config.network, self._class_names, trained)


def _grid_shape(network: NetworkConfig) -> tuple[int, int]:
    """Rows and columns of a sample grid: 8 by 8, or 5 by 5 of large images; a column a class if they are few."""
    side = 8 if max(network.size) <= 64 else 5
    return side, network.classes if 2 <= network.classes <= 16 else side


def _tensorboard(run: Run) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run.path / "tensorboard"))
