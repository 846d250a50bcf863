"""The training itself, on the page that reads like the paper: a batch, G, D, the average, log, save."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

import dcgan
from dcgan.config import Config, TrainingConfig
from dcgan.data.batches import Batches
from dcgan.data.pack import Pack
from dcgan.device import resolve_device, resolve_precision
from dcgan.errors import InputError
from dcgan.pretrained import Discriminator, Generator, ModelInfo
from dcgan.training.checkpoint import Checkpoint, Position, saved
from dcgan.training.progress import Display
from dcgan.training.run import Run
from dcgan.training.step import TrainingStep


class TrainingError(RuntimeError):
    """The training cannot go on; the message says why and what to try."""


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop by Ctrl-C or a signal, and has saved everything. `run` is where."""

    def __init__(self, run: Run) -> None:
        super().__init__(str(run))
        self.run = run


def fit(config: Config, run: Run, pack: Pack, display: Display, checkpoint: Checkpoint | None = None) -> None:
    """Train until the length of the settings is reached, from the start or from a checkpoint.

    Raises Interrupted once everything is saved after Ctrl-C or SIGTERM, and TrainingError for a loss that is
    not finite. Global random state is as before afterwards.
    """
    settings = config.training
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    with torch.random.fork_rng(), stop_signals() as stop, display:
        torch.manual_seed(settings.seed)
        step = TrainingStep(config, device, dtype)
        batches = Batches(pack.images, pack.labels, settings.batch_size, settings.seed, config.data.partial_batches)
        recorder = Recorder(config, run, pack, display, step, batches)
        if checkpoint:
            recorder.restore(checkpoint)
        position, length = recorder.position, Length(settings, len(pack.images))
        began = time.monotonic() - position.seconds
        display.say(f"training on {device.type} in {str(dtype).removeprefix('torch.')}: {length}; run directory {run}")

        while (done := length.share(position)) < 1 and not stop:
            step.set_rate(rate_factor(settings, done))
            position.images += step(batches)
            position.step += 1
            position.seconds = time.monotonic() - began
            recorder.after_step(done)

        recorder.finish()
    if stop:
        raise Interrupted(run)


@dataclass(frozen=True)
class Length:
    """How long a training is: exactly one of the settings' lengths."""

    settings: TrainingConfig
    data_images: int

    def share(self, position: Position) -> float:
        """The share of it that is done; 1 or more at the end."""
        if self.settings.minutes is not None:
            return position.seconds / (60 * self.settings.minutes)
        return position.images / self._images()

    def _images(self) -> int:
        if self.settings.images is not None:
            return self.settings.images
        assert self.settings.n_epochs is not None
        return max(1, round(self.settings.n_epochs * self.data_images))

    def __str__(self) -> str:
        if self.settings.minutes is not None:
            return f"{self.settings.minutes:g} minutes"
        return f"{self._images():,} images ({self._images() / self.data_images:.3g} epochs)"


def rate_factor(settings: TrainingConfig, done: float) -> float:
    """What both learning rates are multiplied by when the share `done` of the training is over."""
    late = min(max((done - settings.lr_decay_start) / (1 - settings.lr_decay_start), 0.0), 1.0)
    if settings.lr_decay == "linear":
        return 1.0 - late
    if settings.lr_decay == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * late))
    return 1.0


class Recorder:
    """Everything a training writes and shows. Owns the position, and the means of the last log line."""

    def __init__(
        self, config: Config, run: Run, pack: Pack, display: Display, step: TrainingStep, batches: Batches
    ) -> None:
        self.config, self.run, self.display, self.step, self.batches = config, run, display, step, batches
        self.position, self.metrics = Position(), dict[str, float]()
        self._logged = Position()
        self._rate = 0.0
        self._trained = {"preset": config.preset, "data": pack.source, "dcgan": dcgan.__version__}
        self._class_names = pack.class_names if config.network.conditional else ()
        self._columns = _grid_columns(config)
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
        self.display.training(self.position, done, self._rate, self.metrics)

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
        generator = Generator(self.step.average.network, self._info())
        training = generator.network.training
        n = max(25, 64 // self._columns * self._columns)
        images = generator.eval().sample(n, self.config.training.seed)
        generator.network.train(training)
        self.display.last_grid = self.run.save_grid(
            images[: n // self._columns * self._columns], self._columns, self.position.images
        )
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


def _grid_columns(config: Config) -> int:
    """A column a class if there are not too many, else a square of 8 by 8 or, for large images, 5 by 5."""
    if 2 <= config.network.classes <= 16:
        return config.network.classes
    return 8 if max(config.network.size) <= 64 else 5


def _tensorboard(run: Run) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run.path / "tensorboard"))


class Stop:
    """Whether a signal has asked the training to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Inside, the first SIGINT or SIGTERM asks to stop; a second one has its usual effect."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may set handlers
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    def restore() -> None:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

    def ask(_number: int, _frame: object) -> None:
        stop.asked = True
        restore()

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
