"""What a training knows of its own health, and what is done about it; `symptoms.py` says what can be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcgan import distributed
from dcgan.config import TrainingConfig
from dcgan.errors import TrainingError
from dcgan.progress import Display, Position
from dcgan.reading import is_integer, is_number
from dcgan.run import Run
from dcgan.training.checkpoint import saved
from dcgan.training.symptoms import RULES, Scale, Symptom, symptoms

SPAN = 50
"""Steps that a line of the history covers at least, so that --log-interval changes no verdict."""
KEPT_LINES, KEPT_LOOKS = 40, 8
"""As much of the past as the rules look at, and some more."""
NEW: Mapping[str, Any] = {"rollbacks": 0, "lines": [], "pending": [], "present": []}
"""What a training knows at its beginning."""


class Health:
    """The last lines of the log, what is wrong now, and how often the training has gone back for it.

    `state` and `restore` keep that with a checkpoint.
    """

    def __init__(self, settings: TrainingConfig, weights: int, run: Run, display: Display) -> None:
        self.settings, self.run, self.display = settings, run, display
        self.scale = Scale.of(settings, weights)
        self.rollbacks = 0
        self.lines: list[dict[str, float]] = []
        self.pending: list[dict[str, float]] = []
        self.present: list[str] = []

    @property
    def rate(self) -> float:
        """What the learning rates are multiplied by: a half for each time the training has gone back."""
        return 0.5**self.rollbacks

    def hear(self, step: int, metrics: Mapping[str, float]) -> list[Symptom]:
        """Take in a log line; what is wrong now and was not at the line before."""
        self.pending.append(dict(metrics))
        if step - (self.lines[-1]["step"] if self.lines else 0) < SPAN:
            return []
        lines = [*self.lines, {"step": step, **_means(self.pending)}]
        self.pending = []
        looks = [line for line in lines if "dead_g" in line][-KEPT_LOOKS:]
        self.lines = [line for line in lines[:-KEPT_LINES] if line in looks] + lines[-KEPT_LINES:]
        found = symptoms(self.lines, self.scale)
        new = [symptom for symptom in found if symptom.name not in self.present]
        self.present = [symptom.name for symptom in found]
        return new

    def sound(self, step: int) -> int:
        """The last step up to which nothing severe is suspected, `step` being the present one."""
        since = [rule.suspect_since(self.lines, self.scale) for rule in RULES if rule.severe]
        return min([step, *(s for s in since if s is not None)])

    def treat(self, found: list[Symptom], position: Position) -> Symptom | None:
        """Say and write down what is wrong; the symptom for which the training is to go back, if it is.

        Raises TrainingError if by the settings it is to stop.
        """
        # What is not finite has no next step: there a warning is not enough.
        failures = [s for s in found if s.severe and (self.settings.health != "warn" or s.name == "diverged")]
        back = self.settings.health == "rollback" and self.rollbacks < self.settings.health_limit
        for symptom in found:
            action = "warned" if symptom not in failures else "rolled back" if back else "stopped"
            event = {"symptom": symptom.name, "evidence": symptom.evidence, "advice": symptom.advice}
            if distributed.is_main():
                self.run.log_health({"step": position.step, "images": position.images, **event, "action": action})
            if action == "warned":
                self.display.warn(f"step {position.step:,}: {symptom}")
        if failures and not back:
            raise TrainingError(f"step {position.step:,}: {failures[0]} {self._last_words(failures[0])}")
        return failures[0] if failures else None

    def state(self) -> dict[str, Any]:
        """Plain values, for `restore`."""
        return {name: getattr(self, name) for name in NEW}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` gave. ValueError if that is nothing that `state` gives."""
        lines = [*state["lines"], *state["pending"]]
        if not is_integer(state["rollbacks"], 0, 1000) or len(lines) > 10_000:
            raise ValueError("no history of health")
        if not all(is_number(value) for line in lines for value in line.values()):
            raise ValueError("no history of health")
        if not all("step" in line for line in state["lines"]) or not all(isinstance(s, str) for s in state["present"]):
            raise ValueError("no history of health")
        self.rollbacks, self.present = state["rollbacks"], list(state["present"])
        self.lines, self.pending = list(state["lines"]), list(state["pending"])

    def _last_words(self, symptom: Symptom) -> str:
        gone = f" It has gone back {self.rollbacks} times (--health-limit)." if self.rollbacks else ""
        good = saved(self.run.checkpoints, symptom.sound)
        where = f"The last healthy checkpoint is {good[-1]}." if good else "There is no healthy checkpoint."
        return f"The training stops.{gone} {where}"


def _means(lines: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each value over the lines that have it."""
    values = {name: [line[name] for line in lines if name in line] for line in lines for name in line}
    return {name: sum(of_name) / len(of_name) for name, of_name in values.items()}
