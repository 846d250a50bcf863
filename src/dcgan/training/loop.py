"""The training itself, on the page that reads like the paper: a batch, G, D, the average, log, save."""

from __future__ import annotations

import functools
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from dcgan import distributed
from dcgan.config import Config, TrainingConfig
from dcgan.data.batches import Batches, open_batches
from dcgan.data.pack import Pack
from dcgan.data.patience import DataLost
from dcgan.device import prepare, repeatable, resolve_device, resolve_precision
from dcgan.progress import Display, Position
from dcgan.report.session import recorded
from dcgan.run import Run
from dcgan.training.checkpoint import Checkpoint
from dcgan.training.clock import Clock
from dcgan.training.recorder import Recorder
from dcgan.training.step import TrainingStep


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop by Ctrl-C or a signal, and has saved everything. `run` is where."""

    def __init__(self, run: Run) -> None:
        super().__init__(str(run))
        self.run = run


def fit(config: Config, run: Run, pack: Pack, display: Display, checkpoint: Checkpoint | None = None) -> None:
    """Train until the length of the settings is reached, from the start or from a checkpoint.

    Raises Interrupted once everything is saved after Ctrl-C, SIGTERM or the end of whoever read the display, and
    TrainingError for a training that has failed and, by the settings, is not to go on. Global random state is as
    before afterwards. Of several processes all train alike: the clock, and whether to stop, are the same for all.
    """
    for _ in steps(config, run, pack, display, checkpoint):
        pass


def steps(
    config: Config, run: Run, pack: Pack, display: Display, checkpoint: Checkpoint | None = None
) -> Iterator[None]:
    """`fit`, a step at a time: small networks leave most of a GPU idle, and trainings taken in turn share it."""
    settings = config.training
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    prepare(device)
    start = checkpoint.position.step if checkpoint else 0
    with ExitStack() as within:
        within.enter_context(torch.random.fork_rng())
        within.enter_context(repeatable(settings.deterministic, device))
        stop = within.enter_context(stop_signals())
        within.enter_context(display)
        within.enter_context(recorded(run, start, device, dtype, display.warn))
        torch.manual_seed(settings.seed)
        step = TrainingStep(config, device, dtype, display.warn)
        batches = open_batches(
            pack.images,
            pack.labels,
            device,
            batch_size=settings.batch_size,
            seed=settings.seed,
            partial=config.data.partial_batches,
            stream=_stream(config, pack, display),
            share=(distributed.rank(), distributed.world()),
        )
        within.callback(batches.close)
        recorder = Recorder(config, run, pack, display, step, batches)
        if checkpoint:
            recorder.restore(checkpoint)
            if settings.micro_batch != run.config.training.micro_batch:  # this resume asks for another
                step.memory.most = settings.micro_batch
        position, length = recorder.position, Length(settings, pack.total)
        clock = Clock(position.seconds)
        where = f"{device.type}, {distributed.world()} processes," if distributed.world() > 1 else device.type
        display.say(f"training on {where} in {str(dtype).removeprefix('torch.')}: {length}; run directory {run}")

        stopping = False
        while (done := length.share(position)) < 1 and not stopping:
            step.set_rate(rate_factor(settings, done) * recorder.health.rate)
            place = batches.state()
            try:
                position.images += step(batches)
            except DataLost as lost:  # before the step began: all but the place is as it was
                batches.restore(place)
                recorder.rescue(lost)
            except (RuntimeError, MemoryError) as error:
                recorder.explain(error)
                raise
            position.step += 1
            position.seconds = clock.lap(recorder.aside)
            recorder.after_step(done)
            position.seconds, stopping = distributed.agree(position.seconds, bool(stop) or display.left)
            yield

        recorder.finish(stopped=stopping)
        distributed.barrier()  # nobody goes on to a run that is not all there yet
    if stopping:
        raise Interrupted(run)


def _stream(config: Config, pack: Pack, display: Display) -> Callable[..., Batches] | None:
    """What opens the stream of shards that `pack` is a sample of, if it is one."""
    if pack.streamed is None:
        return None
    from dcgan.data.shards.stream import Stream

    height, width, channels = pack.images.shape[1:]
    return functools.partial(
        Stream,
        pack.streamed,
        (height, width, channels),
        buffer=config.data.shuffle_buffer,
        resample=config.data.resample,
        workers=config.data.workers,
        max_skipped=config.data.max_skipped,
        warn=display.warn,
    )


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


class Stop:
    """Whether a signal has asked the training to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Inside, the first SIGINT or SIGTERM asks to stop; a second one has its usual effect.

    Of several processes each may get it from the terminal, the scheduler and torchrun, so there it has none.
    """
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
        if distributed.world() == 1:
            restore()

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
