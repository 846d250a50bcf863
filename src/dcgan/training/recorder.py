"""What a training leaves behind while it goes on: log lines, grids, checkpoints, the networks ready to use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch

import dcgan
from dcgan import distributed
from dcgan.config import Config, NetworkConfig
from dcgan.data.batches import Batches, ReadAhead
from dcgan.data.pack import Pack
from dcgan.data.patience import DataLost
from dcgan.device import is_out_of_memory
from dcgan.errors import InputError, TrainingError, printable, typed
from dcgan.files import DISK_FULL
from dcgan.pretrained import Discriminator, Generator, ModelInfo
from dcgan.progress import Display, Position
from dcgan.reading import is_integer
from dcgan.run import Run
from dcgan.training.checkpoint import Checkpoint, newest_for_all, saved
from dcgan.training.health import NEW, Health
from dcgan.training.look import Looks, no_look
from dcgan.training.pieces import SMALLEST
from dcgan.training.scoring import Scoring
from dcgan.training.step import TrainingStep
from dcgan.training.symptoms import Symptom, diverged


class Recorder:
    """Everything a training writes and shows. Owns the position, and the means of the last log line.

    Of several processes the main one writes; what it finds in the log is known to all, so that they decide alike.
    """

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
        weights = sum(p.numel() for p in step.generator.parameters())
        self.health = Health(config.training, weights, run, display)
        self.looks, self._seen = Looks(config, step, pack), dict[str, float]()
        self.scoring = Scoring(config, run, pack, display) if config.training.metrics else None
        self._best: Any = None  # of the checkpoint, to be handed on where nothing is measured
        self._trained = {"preset": config.preset, "data": pack.source, "dcgan": dcgan.__version__}
        self._class_names = pack.class_names if config.network.conditional else ()
        self._rows, self._columns = _grid_shape(config.network)
        self.writes = distributed.is_main()
        self._board = _tensorboard(run) if config.training.tensorboard and self.writes else None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn a full disk or a vanished drive into words that say what is safe and how to go on."""
        try:
            yield
        except OSError as error:
            mend = "Mend that"
            if error.errno in DISK_FULL:
                room = self._room() / 2**20
                mend = f"Make room (a checkpoint and the networks take {room:,.1f} MB, and as much again while written)"
            raise InputError(
                f"{self.run}: cannot be written ({error.strerror or error}); {self._kept()}. "
                f"{mend}, then: {self._go_on}"
            ) from error

    def _room(self) -> int:
        """Bytes of everything that is saved at once."""
        networks = (self.step.average.network, self.step.discriminator)
        tensors = [*self.step.tensors().values(), *(t for n in networks for t in n.state_dict().values())]
        return sum(tensor.nbytes for tensor in tensors)

    def explain(self, error: Exception) -> None:
        """Say what to do if this is memory running out, and smaller pieces did not help or could not be tried.

        Half a step may be done then: what is saved is older.
        """
        if is_out_of_memory(error):
            size, most = self.config.training.batch_size, self.step.memory.most
            pieces = f" in pieces of {most}" if 0 < most < size // distributed.world() else ""
            smaller = (most or size // distributed.world()) // 2
            piecewise = f" (with --micro-batch {smaller} it takes less)" if smaller >= SMALLEST else ""
            raise TrainingError(
                f"step {self.position.step:,}: there is not enough memory on {self.step.device.type} for batches of "
                f"{size}{pieces}; {self._kept()}. If something else took the memory, end that, and: "
                f"{self._go_on}{piecewise}. "
                f"Else begin anew with smaller --batch-size, --width or --image-size. ({_first_line(error)})"
            ) from error

    @property
    def _go_on(self) -> str:
        return f"dcgan train --resume {typed(self.run)}"

    def _kept(self) -> str:
        good = saved(self.run.checkpoints)
        return f"the last good checkpoint is {good[-1]}" if good else "there is no checkpoint yet"

    def rescue(self, error: DataLost) -> NoReturn:
        """Save, because no further batch can be read, and say so.

        Of several processes the others are in the middle of the step: there the last checkpoint has to do.
        """
        if distributed.world() > 1:
            raise InputError(f"{error} {self._kept()}; then: {self._go_on}") from error
        with self._writing():
            self.save()
        raise InputError(f"{error} Saved at step {self.position.step:,}; once it is back: {self._go_on}") from error

    def after_step(self, done: float) -> None:
        """Draw, measure, log, look after its health, and save, each when it is time."""
        settings, number = self.config.training, self.position.step
        drawing, measuring, logging, saving = (
            number % interval == 0
            for interval in (
                *(settings.sample_interval, settings.metric_interval),
                *(settings.log_interval, settings.checkpoint_interval),
            )
        )
        with self._writing():
            # A GPU is asked only when something is written: nothing is damaged meanwhile, as nothing is updated.
            refused = (self.step.device.type == "cpu" or drawing or logging or saving) and self.step.refused()
            if refused or drawing or measuring or logging or saving:
                self.step.settle()
            if refused:
                self._treat([self._diverged(self.step.peek())])
            else:
                if drawing:
                    self.sample()
                    if self.writes:
                        self._seen |= self.looks()
                if measuring and self.scoring:
                    self._measure(self.scoring)
                gone_back = (logging or (measuring and self.scoring)) and self._treat(self.log())
                if saving and not gone_back:
                    self.save()
        rate = self._rate or self.position.images / max(self.position.seconds, 1e-9)  # until there is a log line
        self.display.training(self.position, done, rate, self.metrics)

    @property
    def aside(self) -> float:
        """Seconds of this session that were no training, but measuring."""
        return self.scoring.seconds if self.scoring else 0.0

    def log(self) -> list[Symptom]:
        """One line of metrics: means since the last, and what a look has seen since; what is wrong all at once."""
        means, seen = self.step.means(), self._seen
        self.metrics, self._seen = distributed.from_main(lambda: means | seen), {}
        if not all(map(math.isfinite, self.metrics.values())):
            return [self._diverged(self.metrics)]
        now, last = self.position, self._logged
        self._rate = (now.images - last.images) / max(now.seconds - last.seconds, 1e-9)
        self._logged = Position(now.step, now.images, now.seconds)
        record = {
            "step": now.step,
            "images": now.images,
            "seconds": round(now.seconds, 3),
            "images_per_second": round(self._rate, 1),
            **{name: float(f"{value:.6g}") for name, value in self.metrics.items()},
        }
        if self.writes:
            self.run.log(record)
        if self._board:
            for name, value in record.items():
                self._board.add_scalar(name, value, now.images)
        return self.health.hear(now.step, self.metrics)

    def sample(self) -> None:
        """A grid of the fixed latents: those of seed --seed, as `dcgan sample` draws them."""
        if not self.writes:
            return
        n = self._rows * self._columns
        images = self._generator().sample(max(n, 25), self.config.training.seed)
        self.display.last_grid = self.run.save_grid(images[:n], self._columns, self.position.images)
        if self.config.training.batch_names:
            self.run.save_batch_grid(images, self.position.step)

    def save(self) -> None:
        """A checkpoint, and the networks ready to use; but nothing that is not finite."""
        tensors = self.step.tensors() | self.looks.tensors()
        wrong = distributed.from_main(
            lambda: {name: math.nan for name, tensor in tensors.items() if not tensor.isfinite().all()}
        )
        if wrong or self.step.refused():
            self._treat([self._diverged(self.step.peek() | wrong)])
            return
        if not self.writes:
            return
        self.run.sync_log()
        self._checkpoint(tensors).save(
            self.run.checkpoints, self.config.training.keep_checkpoints, self.health.sound(self.position.step)
        )
        self._generator().save_pretrained(self.run.path)
        self._discriminator().save_pretrained(self.run.path)

    def finish(self, stopped: bool = False) -> None:
        """Save, measure once more, and show how it all came about.

        Where it was `stopped` nothing is measured: whoever sent SIGTERM sends SIGKILL some seconds later.
        """
        self.step.settle()
        with self._writing():
            self.save()
            if self.scoring and not stopped and self.position.step % self.config.training.metric_interval:
                self._measure(self.scoring)
            if not stopped and (self._seen or self.position.step > self._logged.step):
                self.log()  # after the checkpoint, so that a longer training goes on with the means of its window
            self.sample()
            if self.writes:
                self.run.save_animation()

    def _measure(self, scoring: Scoring) -> None:
        """The metrics, for the next log line; and if it is the best so far, keep all of it."""
        values = scoring(self._generator())
        self._seen |= values
        if scoring.is_best(values) and self.writes:
            tensors = self.step.tensors() | self.looks.tensors()
            scoring.keep(self._checkpoint(tensors), self._generator(), self._discriminator())

    def _checkpoint(self, tensors: dict[str, torch.Tensor]) -> Checkpoint:
        counters = self.step.counters() | {"health": self.health.state(), "seen": self._seen}
        counters["best"] = self.scoring.kept if self.scoring else self._best
        return Checkpoint(self.position, self.batches.state(), counters, tensors, self.config.to_dict())

    def _generator(self) -> Generator:
        return Generator(self.step.average.network, self._info())

    def _discriminator(self) -> Discriminator:
        return Discriminator(self.step.discriminator, self._info())

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint as if nothing had been between. InputError if it is of another training."""
        try:
            self._restore(checkpoint)
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError) as error:
            raise InputError(
                f"{self.run}: its checkpoint of step {checkpoint.position.step:,} is of other settings "
                f"({_first_line(error)})"
            ) from error
        then = checkpoint.position
        self.position.step, self.position.images, self.position.seconds = then.step, then.images, then.seconds
        self._logged = Position(then.step, then.images, then.seconds)
        if self.writes:
            self.run.rewind(then.step, then.images)
            self.display.last_grid = None

    def _restore(self, checkpoint: Checkpoint) -> None:
        counters = checkpoint.counters
        for name in ("updates", "average"):
            if not is_integer(counters[name]):
                raise ValueError(f"{name} is no number")
        if not is_integer(counters.get("micro_batch", 0), 0, 65536):
            raise ValueError("micro_batch is no number of images")
        counted = [*counters["seen"].values(), *counters["counts"].values(), *counters.get("augmentation", {}).values()]
        if not all(isinstance(value, int | float) for value in counted):
            raise ValueError("what was counted are no numbers")
        self.step.restore(checkpoint.tensors, counters)
        self.batches.restore(checkpoint.place)
        self.looks.restore(checkpoint.tensors)
        self.health.restore(counters["health"])
        self._seen = dict(counters["seen"])
        self._best = counters.get("best")
        if self.scoring and self.scoring.best is None:  # what has gone back keeps its best
            self.scoring.remember(self._best)

    def _diverged(self, values: dict[str, float]) -> Symptom:
        wrong = ", ".join(f"{name} is {value}" for name, value in values.items() if not math.isfinite(value))
        refused = "; the update was not made" if self.step.refused() else ""
        return diverged(self.health.sound(self.position.step), wrong + refused)

    def _treat(self, found: list[Symptom]) -> bool:
        """Do what the settings say about what is wrong; whether that was to go back."""
        failure = self.health.treat(found, self.position)
        if failure:
            self._go_back(failure)
        return failure is not None

    def _go_back(self, failure: Symptom) -> None:
        """To the last checkpoint before the trouble, else to a new start; at half the rate and with other noise."""
        failed, seconds, rollbacks = self.position.step, self.position.seconds, self.health.rollbacks + 1
        most = self.step.memory.most
        seed = (self.config.training.seed + rollbacks) % 2**63
        checkpoint, _ = newest_for_all(self.run.checkpoints, failure.sound)
        self.restore(checkpoint or self._start(seed))
        self.position.seconds = self._logged.seconds = seconds  # they were spent
        self.health.rollbacks = rollbacks
        self.step.memory.most = most  # there is no more room than before
        self.step.reseed(seed)
        for later in set(saved(self.run.checkpoints)) - set(saved(self.run.checkpoints, self.position.step)):
            if self.writes:
                later.unlink()
        self.save()  # so that a resume knows of it
        self.display.warn(
            f"step {failed:,}: {failure} Going back to step {self.position.step:,}, at {self.health.rate:g} of the "
            f"learning rate and with other noise (time {rollbacks} of {self.config.training.health_limit})."
        )

    def _start(self, seed: int) -> Checkpoint:
        """A training that has not begun, with networks of this seed."""
        torch.manual_seed(seed)
        step = TrainingStep(self.config, self.step.device, self.step.dtype)
        counters = step.counters() | {"health": NEW, "seen": {}}
        return Checkpoint(Position(), {"epoch": 0, "offset": 0}, counters, step.tensors() | no_look(step), {})

    def _info(self) -> ModelInfo:
        trained = self._trained | {"images": self.position.images, "seconds": round(self.position.seconds, 1)}
        return ModelInfo(self.config.network, self._class_names, trained)


def _first_line(error: Exception) -> str:
    return printable(str(error) or repr(error)).splitlines()[0][:200]


def _grid_shape(network: NetworkConfig) -> tuple[int, int]:
    """Rows and columns of a sample grid: 8 by 8, or 5 by 5 of large images; a column a class if they are few."""
    side = 8 if max(network.size) <= 64 else 5
    return side, network.classes if 2 <= network.classes <= 16 else side


def _tensorboard(run: Run) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run.path / "tensorboard"))
