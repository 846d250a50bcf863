"""How good a generator is: `evaluate` measures and writes down, `Measure` is prepared once and used many times."""

from dcgan.evaluation.judge import evaluate
from dcgan.evaluation.measure import Measure
from dcgan.evaluation.scores import Score

__all__ = ["Measure", "Score", "evaluate"]
