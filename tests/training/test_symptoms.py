"""Each rule on made-up log lines: one that is well, and the same with one failure in it."""

import math
import re

import pytest

from dcgan.config import TrainingConfig
from dcgan.presets import load_preset
from dcgan.training.symptoms import RULES, Scale, diverged, symptoms

WELL = {
    "loss_d": 0.15,
    "loss_g": 0.5,
    "d_right": 0.75,
    "d_real": 0.65,
    "d_fake": 0.56,
    "grad_g": 2.0,
    "grad_d": 5.0,
}
LOOK = {"diversity": 0.9, "dead_g": 0.0, "dead_d": 0.0, "oscillation": 0.02, "moved_g": 0.05}
FAST = Scale.of(load_preset("fast").training, 10_000)


def history(n, start=0, looks_every=8, **changes):
    """n lines of 50 steps; a change is a value, or a function of the number of the line from the start on."""
    lines = []
    for i in range(n):
        line = {"step": 50 * (start + i + 1), **WELL}
        if (start + i + 1) % looks_every == 0:
            line |= LOOK
        for name, value in changes.items():
            if name in line:
                line[name] = value(start + i) if callable(value) else value
        lines.append(line)
    return lines


def names(lines, scale=FAST):
    return [symptom.name for symptom in symptoms(lines, scale)]


def named_at(lines, name):
    """The step of the line at which a symptom is first there, heard line by line."""
    return next(int(lines[i]["step"]) for i in range(len(lines)) if name in names(lines[: i + 1]))


def test_all_is_well():
    lines = history(80)
    assert all(names(lines[: i + 1]) == [] for i in range(len(lines)))


CASES = {
    "losses explode": ({"loss_d": 26.0, "loss_g": 36.0}, "unstable", 50),
    "D is constant": ({"d_right": 0.5, "d_real": 0.52, "d_fake": 0.52, "grad_g": 0.0}, "d_blind", 150),
    "D never learns": ({"d_right": 0.1}, "d_blind", 500),
    "G gets no gradient": ({"grad_g": 0.0}, "g_stuck", 150),
    "G does not move": ({"moved_g": 0.0}, "g_stuck", 400),
    "D has won": ({"d_right": 1.0, "loss_d": 0.002}, "d_wins", 500),
    "collapse": ({"diversity": 0.03}, "collapse", 2000),
    "one image": ({"diversity": 0.003}, "collapse", 800),
    "dead in G": ({"dead_g": 0.4}, "dead_filters", 2000),
    "dead in D": ({"dead_d": 0.4}, "dead_filters", 2000),
    "oscillation": ({"oscillation": 0.4}, "oscillation", 6000),
}


@pytest.mark.parametrize("case", CASES)
def test_a_failure_from_the_start_is_named_alone_and_in_time(case):
    changes, name, step = CASES[case]
    lines = history(120, **changes)
    assert named_at(lines, name) == step
    assert names(lines) == [name]
    (symptom,) = symptoms(lines, FAST)
    assert symptom.sound == 0
    assert re.search(r"\d", symptom.evidence)
    assert "{" not in symptom.evidence
    assert "--" in symptom.advice
    assert str(symptom).startswith(f"{name}: ")


@pytest.mark.parametrize("case", CASES)
def test_a_failure_that_comes_later_is_named_in_time_and_remembers_when_all_was_well(case):
    changes, name, from_start = CASES[case]
    lines = history(112) + history(32, start=112, **changes)
    looks = {"one image": 2, "collapse": 3, "dead in G": 3, "dead in D": 3, "oscillation": 3}
    delay = 400 * looks[case] if case in looks else from_start
    assert named_at(lines, name) == 5600 + delay
    (symptom,) = symptoms(lines, FAST)
    assert symptom.sound == 5600


@pytest.mark.parametrize("case", CASES)
def test_a_failure_that_passes_is_gone(case):
    changes, *_ = CASES[case]
    lines = history(32, **changes) + history(8, start=32)
    assert names(lines) == []


def test_gradients_far_above_their_history_are_unstable_if_a_loss_is_high_too():
    explosion = {"grad_d": 200.0, "loss_d": 1.5}
    assert names(history(30) + history(1, start=30, **explosion)) == ["unstable"]
    assert names(history(30) + history(1, start=30, grad_d=200.0)) == []  # D learns again after it had lost or won
    assert names(history(30) + history(1, start=30, loss_d=1.5)) == []
    assert names(history(10) + history(1, start=10, **explosion)) == []  # too early to tell
    assert (
        named_at(history(30) + history(9, start=30, grad_g=lambda i: 2.0 * 3 ** (i - 29), loss_g=2.0), "unstable")
        <= 50 * 34
    )


def test_alternating_lines_that_lack_a_value_are_passed_over():
    lines = history(40, diversity=0.03)
    for line in lines[::2]:
        del line["d_right"], line["loss_d"]
    assert names(lines) == ["collapse"]


@pytest.mark.parametrize(
    ("loss", "smoothing", "expected"),
    [
        ("bce", 0.0, math.log(2)),
        ("bce", 0.1, -(0.9 * math.log(0.45) + 0.1 * math.log(0.55)) / 2 - math.log(0.55) / 2),
        ("least-squares", 0.1, 0.45**2),
        ("hinge", 0.1, 1.0),
        ("relativistic", 0.1, math.log(2)),
        ("wasserstein", 0.0, math.inf),
    ],
)
def test_scale_is_the_loss_of_a_discriminator_that_knows_nothing(loss, smoothing, expected):
    scale = Scale.of(TrainingConfig(loss=loss, label_smoothing=smoothing, d_loss_reduction="sum"), 400)
    assert scale == (pytest.approx(expected), 2, 20.0)


def test_a_loss_without_a_scale_is_judged_by_gradients_alone():
    scale = Scale.of(TrainingConfig(loss="wasserstein"), 10_000)
    assert names(history(40, loss_d=-900.0, loss_g=500.0, d_right=1.0), scale) == []
    assert names(history(30) + history(1, start=30, grad_d=200.0), scale) == ["unstable"]


def test_the_sum_of_two_halves_is_no_louder_than_their_mean():
    mean = Scale.of(TrainingConfig(loss="bce", label_smoothing=0, d_loss_reduction="mean"), 1)
    both = Scale.of(TrainingConfig(loss="bce", label_smoothing=0, d_loss_reduction="sum"), 1)
    assert names(history(3, loss_d=60.0), mean) == ["unstable"]
    assert names(history(3, loss_d=60.0), both) == []
    won = history(10, d_right=1.0, loss_d=0.09 * math.log(2))  # 4.5 % of what the sum is if D knows nothing
    assert names(won, both) == ["d_wins"]
    assert names(won, mean) == []


def test_severe_is_what_the_documents_say():
    assert {rule.name for rule in RULES if rule.severe} == {"unstable", "d_blind", "g_stuck", "collapse"}
    assert {rule.name for rule in RULES if not rule.severe} == {"d_wins", "dead_filters", "oscillation"}
    assert diverged(3, "loss_g is nan").severe
