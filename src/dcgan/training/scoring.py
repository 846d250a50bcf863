"""Metrics on the way: the averaged generator is measured from time to time, and the best so far is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dcgan import distributed
from dcgan.config import Config
from dcgan.data.pack import Pack
from dcgan.progress import Display
from dcgan.reading import is_number
from dcgan.run import Run
from dcgan.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    from dcgan.pretrained import Discriminator, Generator

SMALLER_IS_BETTER = {"fid", "kid"}


class Scoring:
    """The metrics of the settings, the best value of the first of them so far, and the time that measuring took."""

    def __init__(self, config: Config, run: Run, pack: Pack, display: Display) -> None:
        from dcgan.evaluation import Measure
        from dcgan.evaluation.metrics import metric_names

        settings = config.training
        self.config, self.run, self.display = config, run, display
        self.best: float | None = None
        self.seconds = 0.0
        """Spent in this session: no part of the training's own time."""
        with distributed.in_turn():
            self.measure = Measure.of(
                pack,
                metric_names(settings.metrics),
                extractor=settings.extractor,
                samples=settings.metric_samples,
                seed=settings.seed,
                device=settings.device,
                display=display,
            )

    def __call__(self, generator: Generator) -> dict[str, float]:
        """The values by name."""
        began = time.monotonic()
        values = self.measure(generator)
        self.seconds += time.monotonic() - began
        said = " · ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.display.say(f"{generator.info.trained['images']:,} images: {said}")
        return values

    def is_best(self, values: dict[str, float]) -> bool:
        """Whether the first value is the best so far; it is then remembered."""
        name, value = next(iter(values.items()))
        if self.best is not None and (value >= self.best if name in SMALLER_IS_BETTER else value <= self.best):
            return False
        self.best = value
        return True

    @property
    def kept(self) -> list[Any] | None:
        """The best so far, and what it is the best of: the metric, whose features, of how many drawings."""
        return None if self.best is None else [*self._kind(), self.best]

    def remember(self, kept: Any) -> None:
        """Go on from the best that a checkpoint has, if it is of what is measured now."""
        if isinstance(kept, list) and kept[:-1] == self._kind() and is_number(kept[-1]):
            self.best = kept[-1]

    def _kind(self) -> list[Any]:
        settings = self.config.training
        return [self.measure.metrics[0], settings.extractor, settings.metric_samples]

    def keep(self, checkpoint: Checkpoint, generator: Generator, discriminator: Discriminator) -> None:
        """Put the present state in RUN/best, which is a run directory itself: it can be drawn from and resumed."""
        path = self.run.path / "best"
        if not (path / "config.yaml").exists():
            Run.create(path, self.config, self.run.data)
        best = Run(path)
        checkpoint.save(best.checkpoints, keep=1)
        generator.save_pretrained(path)
        discriminator.save_pretrained(path)
