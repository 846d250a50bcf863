"""What can be wrong with a training: pure functions of lines of its log, each with evidence and advice.

What they compare is measured by `step.py` (for every line) and `look.py` (at every look). `RULES` is the table of
limits; docs/training.md has them beside what healthy trainings show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from dcgan.config import TrainingConfig
from dcgan.losses import boundary, discriminator_loss

Line = Mapping[str, float]
"""`step`, and means over 50 steps or more up to it; some have what was seen at a look, too."""

VANISHED = 1e-9
"""Gradient of a weight (root mean square) that moves nothing: a tenth of Adam's epsilon."""


class Scale(NamedTuple):
    """What the numbers of a training are compared with."""

    loss: float
    """Mean of D's halves if it knows nothing; infinite for the wasserstein loss, which has no scale."""
    halves: int
    """How many halves loss_d is: 1 for their mean, 2 for their sum."""
    root_weights: float
    """Square root of the number of G's weights: a norm divided by it is the root mean square of one."""

    @classmethod
    def of(cls, settings: TrainingConfig, weights: int) -> Scale:
        """For the loss of the settings, and a G of so many weights."""
        even = torch.tensor([boundary(settings.loss, settings.label_smoothing)])
        first, second = discriminator_loss(settings.loss, even, even, settings.label_smoothing)
        loss = math.inf if settings.loss == "wasserstein" else (first + second).item() / 2
        return cls(loss, 2 if settings.d_loss_reduction == "sum" else 1, math.sqrt(weights))


@dataclass(frozen=True)
class Symptom:
    """Something wrong with a training."""

    name: str
    severe: bool
    """To go on is of no use; what is not severe may pass, or be no harm."""
    sound: int
    """The step up to which all was well."""
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}. {self.advice}"


Shows = Callable[[Sequence[Line], Scale, float], bool]
"""Whether the last of these lines is beyond a limit, in the light of those before."""


@dataclass(frozen=True)
class Rule:
    """A symptom is there once the last `lines` lines that have all it `needs` are beyond the limit."""

    name: str
    severe: bool
    needs: tuple[str, ...]
    shows: Shows
    limit: float
    lines: int
    after: int
    """Lines up to this step are no alarm: every training begins with noise."""
    evidence: str
    """With the last line's values in braces."""
    advice: str

    def symptom(self, history: Sequence[Line], scale: Scale) -> Symptom | None:
        """The symptom if it is there."""
        bad, good = self._split(history, scale)
        if sum(line["step"] > self.after for line in bad) < self.lines:
            return None
        return Symptom(self.name, self.severe, _last_step(good), self.evidence.format(**bad[-1]), self.advice)

    def suspect_since(self, history: Sequence[Line], scale: Scale) -> int | None:
        """The step of the last line before those that are beyond the limit now; None if they are no alarm, or none."""
        bad, good = self._split(history, scale)
        return _last_step(good) if any(line["step"] > self.after for line in bad) else None

    def _split(self, history: Sequence[Line], scale: Scale) -> tuple[Sequence[Line], Sequence[Line]]:
        """The last lines, all beyond the limit, and those before them."""
        lines = [line for line in history if all(name in line for name in self.needs)]
        n = len(lines)
        while n and self.shows(lines[:n], scale, self.limit):
            n -= 1
        return lines[n:], lines[:n]


def _last_step(lines: Sequence[Line]) -> int:
    return int(lines[-1]["step"]) if lines else 0


def _loud_loss(lines: Sequence[Line], scale: Scale, limit: float) -> bool:
    """The larger loss, against that of a D that knows nothing."""
    loss_d, loss_g = abs(lines[-1]["loss_d"]) / scale.halves, abs(lines[-1]["loss_g"])
    return max(loss_d, loss_g) > limit * scale.loss


def _loud_gradient(lines: Sequence[Line], scale: Scale, limit: float) -> bool:
    """Against the largest of the 20 lines that ended 5 lines before, while a loss is high as well.

    That keeps out a D that begins to learn after a blind start, and one that loses after it had all but won.
    """
    earlier = lines[:-6][-20:]
    if len(earlier) < 20 or (math.isfinite(scale.loss) and not _loud_loss(lines, scale, 4)):
        return False
    return any(lines[-1][name] > limit * max(line[name] for line in earlier) for name in ("grad_g", "grad_d"))


def _d_won(lines: Sequence[Line], scale: Scale, limit: float) -> bool:
    """All but every decision is right, and D's loss is this share of that of a D that knows nothing."""
    small = lines[-1]["loss_d"] < limit * scale.loss * scale.halves
    return math.isfinite(scale.loss) and small and lines[-1]["d_right"] >= 0.995


def _blind(lines: Sequence[Line], scale: Scale, limit: float) -> bool:
    """Decisions are at chance, real and drawn images get the same probability, and G no gradient from it."""
    last = lines[-1]
    chance = abs(last["d_right"] - 0.5) < 0.02 and abs(last["d_real"] - last["d_fake"]) < 1e-4
    return chance and last["grad_g"] < limit * scale.root_weights


def _wrong(lines: Sequence[Line], _scale: Scale, limit: float) -> bool:
    return lines[-1]["d_right"] < limit


def _no_gradient(lines: Sequence[Line], scale: Scale, limit: float) -> bool:
    return lines[-1]["grad_g"] < limit * scale.root_weights and not _blind(lines, scale, limit)


def _unmoved(lines: Sequence[Line], scale: Scale, limit: float) -> bool:
    return lines[-1]["moved_g"] < limit and not _blind(lines, scale, VANISHED)


def _alike(lines: Sequence[Line], _scale: Scale, limit: float) -> bool:
    return lines[-1]["diversity"] < limit


def _dead(lines: Sequence[Line], _scale: Scale, limit: float) -> bool:
    return max(lines[-1]["dead_g"], lines[-1]["dead_d"]) > limit


def _moving(lines: Sequence[Line], _scale: Scale, limit: float) -> bool:
    return lines[-1]["oscillation"] > limit


GAME, LOSSES = ("d_right", "d_real", "d_fake", "grad_g"), ("loss_d", "loss_g")
RULES: tuple[Rule, ...] = (
    Rule(
        "unstable",
        True,
        LOSSES,
        _loud_loss,
        limit=60,
        lines=1,
        after=0,
        evidence="the losses are far from any even game (D {loss_d:.3g}, G {loss_g:.3g})",
        advice="Try a lower --lr and --lr-d.",
    ),
    Rule(
        "unstable",
        True,
        (*LOSSES, "grad_g", "grad_d"),
        _loud_gradient,
        limit=30,
        lines=1,
        after=0,
        evidence="the gradients are 30 times what they were (G {grad_g:.3g}, D {grad_d:.3g}), "
        "with losses of {loss_g:.3g} and {loss_d:.3g}",
        advice="Try a lower --lr and --lr-d.",
    ),
    Rule(
        "d_blind",
        True,
        GAME,
        _blind,
        limit=VANISHED,
        lines=3,
        after=0,
        evidence="D gives every image the same value (D(x) = {d_real:.6f}, D(G(z)) = {d_fake:.6f}) "
        "and G a gradient of {grad_g:.1e}",
        advice="Try another --lr-d (D may have been driven to where it has no slope, or never have moved), "
        "and see that the images are not all alike.",
    ),
    Rule(
        "d_blind",
        True,
        ("d_right",),
        _wrong,
        limit=0.25,
        lines=10,
        after=0,
        evidence="D is right in no more than {d_right:.1%} of its decisions: G has found what D never learns",
        advice="Try a higher --lr-d.",
    ),
    Rule(
        "g_stuck",
        True,
        GAME,
        _no_gradient,
        limit=VANISHED,
        lines=3,
        after=0,
        evidence="G gets no gradient ({grad_g:.1e}) from a D that is right in {d_right:.0%} of its decisions",
        advice="Try a lower --lr and --lr-d: one of the networks is saturated.",
    ),
    Rule(
        "g_stuck",
        True,
        (*GAME, "moved_g"),
        _unmoved,
        limit=1e-6,
        lines=1,
        after=0,
        evidence="no weight of G changes (by {moved_g:.1e} of their norm since they were looked at last)",
        advice="Try a higher --lr.",
    ),
    Rule(
        "collapse",
        True,
        ("diversity",),
        _alike,
        limit=0.02,
        lines=2,
        after=300,
        evidence="the samples are one image: at {diversity:.2%} of the data's diversity",
        advice="Try a lower --lr and --lr-d.",
    ),
    Rule(
        "collapse",
        True,
        ("diversity",),
        _alike,
        limit=0.1,
        lines=3,
        after=1000,
        evidence="the samples are all alike: at {diversity:.1%} of the data's diversity",
        advice="Try a lower --lr and --lr-d, a larger --batch-size, or --r1 1.",
    ),
    Rule(
        "d_wins",
        False,
        ("loss_d", "d_right"),
        _d_won,
        limit=0.05,
        lines=10,
        after=0,
        evidence="D is right in {d_right:.1%} of its decisions, and its loss is {loss_d:.2g}",
        advice="If the samples get no better: a lower --lr-d, --label-smoothing 0.1, --r1 1, or more images.",
    ),
    Rule(
        "dead_filters",
        False,
        ("dead_g", "dead_d"),
        _dead,
        limit=0.1,
        lines=3,
        after=1000,
        evidence="maps that are the same on every image: {dead_g:.0%} of G's, {dead_d:.0%} of D's",
        advice="Try a lower --lr; if all looks well, a smaller --width does as much.",
    ),
    Rule(
        "oscillation",
        False,
        ("oscillation",),
        _moving,
        limit=0.2,
        lines=3,
        after=5000,
        evidence="{oscillation:.0%} of G's maps hardly depend on the latent but change from look to look",
        advice="The paper saw it in long trainings: stop here or at an earlier checkpoint, or try a lower --lr, "
        "--lr-decay linear or a longer --ema.",
    ),
)
"""The table of what is not well. Severe is what no training comes out of by going on as it does."""


def symptoms(history: Sequence[Line], scale: Scale) -> list[Symptom]:
    """What is wrong according to the last log lines, each name once."""
    found: dict[str, Symptom] = {}
    for rule in RULES:
        symptom = rule.symptom(history, scale)
        if symptom:
            found.setdefault(symptom.name, symptom)
    return list(found.values())


def diverged(step: int, evidence: str) -> Symptom:
    """The symptom that no log line can show: something was not finite, and the update was not made."""
    return Symptom("diverged", True, step, evidence, "Try a lower --lr and --lr-d, or --precision fp32.")
