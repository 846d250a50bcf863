"""Failures provoked in real trainings: each is named in time, and what the settings say is done about it."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import dcgan
from dcgan.errors import TrainingError
from dcgan.training import checkpoint as checkpoints
from dcgan.training import health, players, step
from dcgan.training.optimizer import descend
from dcgan.training.recorder import Recorder
from dcgan.training.step import TrainingStep
from dcgan.training.symptoms import Symptom

OFTEN: dict[str, Any] = {"log_interval": 5, "sample_interval": 10, "checkpoint_interval": 10}
NAN = float("nan")


@pytest.fixture
def train(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> Callable[..., dcgan.Run]:
    """Trains a tiny network for a number of steps."""

    def run(steps: int, out: str = "run", **settings: Any) -> dcgan.Run:
        merged: dict[str, Any] = OFTEN | tiny | settings
        return dcgan.train(photos, out=tmp_path / out, images=8 * steps, **merged)

    return run


def events(run: dcgan.Run | Path) -> list[tuple[str, int, str]]:
    path = run if isinstance(run, Path) else run.path
    return [(event["symptom"], event["step"], event["action"]) for event in dcgan.Run(path).health()]


def is_finite(run: dcgan.Run | Path) -> bool:
    """Every number of every file with weights in a run."""
    path = run if isinstance(run, Path) else run.path
    files = list(path.rglob("*.safetensors"))
    tensors = [t for file in files for t in checkpoints.read_tensors(file)[0].values()]
    return bool(files) and all(bool(tensor.isfinite().all()) for tensor in tensors)


# Each failure, provoked -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_a_hundred_times_the_rate_is_unstable_within_50_steps(tmp_path: Path, seed: int) -> None:
    settings: dict[str, Any] = {"lr": 100 * 2e-3, "lr_d": 100 * 1e-3, "seed": seed, "device": "cpu", "quiet": True}
    with pytest.raises(TrainingError, match=r"step 50: unstable: the losses .* Try a lower --lr"):
        dcgan.train("digits", out=tmp_path / "run", images=16 * 60, log_interval=10, health="stop", **settings)
    assert events(tmp_path / "run") == [("unstable", 50, "stopped")]


def test_a_rate_too_low_to_move_g_is_named_within_50_steps(train: Callable[..., dcgan.Run]) -> None:
    assert events(train(60, lr=1e-12, health="warn")) == [("g_stuck", 50, "warned")]


@pytest.mark.parametrize(
    "settings",
    [
        {"updates": "alternate", "d_steps": 3, "sample_interval": 2},  # between most looks no turn of G
        {"lr_decay": "cosine", "sample_interval": 5},  # at the end no rate to move with
        {"lr_decay": "linear", "lr": 2e-4, "sample_interval": 1},
    ],
)
def test_a_generator_whose_turn_it_is_not_or_that_has_come_to_rest_is_no_alarm(
    train: Callable[..., dcgan.Run], settings: dict[str, Any]
) -> None:
    run = train(160, health="stop", **settings)
    assert events(run) == []
    moved = [line["moved_g"] for line in run.metrics() if "moved_g" in line]
    assert len(moved) >= 2
    assert min(moved) > 1e-5


def test_an_optimiser_that_does_nothing_is_named_within_50_steps(
    train: Callable[..., dcgan.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = itertools.count()

    def d_alone(optimizer: torch.optim.Adam, loss: torch.Tensor, refused: torch.Tensor) -> torch.Tensor:
        return torch.ones(()) if next(turns) % 2 == 0 else descend(optimizer, loss, refused)  # G is first

    monkeypatch.setattr(step, "descend", d_alone)
    assert events(train(60, health="warn")) == [("g_stuck", 50, "warned")]


def test_a_generator_without_gradients_is_named_within_150_steps(
    train: Callable[..., dcgan.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(players, "generator_loss", lambda name, fake, real: 0 * fake.mean())
    assert events(train(160, health="warn", sample_interval=1000)) == [("g_stuck", 150, "warned")]


def test_a_constant_discriminator_is_named_within_150_steps(
    train: Callable[..., dcgan.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = step.build_discriminator

    def constant(config: Any) -> torch.nn.Module:
        network = build(config)
        torch.nn.init.zeros_(network.to_logit.weight)  # type: ignore[union-attr,arg-type]
        return network

    monkeypatch.setattr(step, "build_discriminator", constant)
    assert events(train(160, health="warn", lr_d=1e-12)) == [("d_blind", 150, "warned")]


@pytest.mark.slow
def test_a_discriminator_that_never_learns_is_named_within_600_steps(train: Callable[..., dcgan.Run]) -> None:
    run = train(600, health="warn", lr=0.01, lr_d=1e-12)
    assert [event[::2] for event in events(run)] == [("d_blind", "warned")]


def poison_batch(self: TrainingStep, monkeypatch: pytest.MonkeyPatch) -> None:
    real = self.players.real
    monkeypatch.setattr(self.players, "real", lambda piece: NAN * real(piece))


def poison_weight(self: TrainingStep, _: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        next(self.generator.parameters())[0, 0] = NAN


def poison_average(self: TrainingStep, _: pytest.MonkeyPatch) -> None:
    next(self.average.network.parameters())[0, 0] = NAN  # no loss ever shows it


def poison_loss(_: TrainingStep, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = players.generator_loss
    monkeypatch.setattr(players, "generator_loss", lambda *arguments: loss(*arguments) / 0)


POISONS: dict[str, tuple[Any, int, str]] = {
    "batch": (poison_batch, 14, r"loss_d is nan"),
    "weight": (poison_weight, 14, r"loss_g is nan"),
    "loss": (poison_loss, 14, r"loss_g is inf"),
    "average": (poison_average, 20, r"diversity is nan"),  # at the next look
}


@pytest.fixture(params=POISONS)
def poison(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, str]]:
    """Poisons step 14, once; gives the step at which it is to be named, and its words."""
    inject, named, words = POISONS[request.param]
    original = TrainingStep.__call__
    done: list[bool] = []

    def call(self: TrainingStep, batches: Any) -> int:
        if self.updates == 13 and not done:
            done.append(True)
            with monkeypatch.context() as only_here:
                inject(self, only_here)
                return original(self, batches)
        return original(self, batches)

    monkeypatch.setattr(TrainingStep, "__call__", call)
    yield named, words
    assert done


def test_nan_stops_at_that_very_step_whatever_the_settings(
    train: Callable[..., dcgan.Run], tmp_path: Path, poison: tuple[int, str]
) -> None:
    named, words = poison
    with pytest.raises(TrainingError, match=rf"step {named}: diverged: .*{words}.*000000010") as error:
        train(40, health="warn")
    assert "Try a lower --lr" in str(error.value)
    assert events(tmp_path / "run") == [("diverged", named, "stopped")]
    assert is_finite(tmp_path / "run")
    assert [path.stem for path in checkpoints.saved(tmp_path / "run" / "checkpoints")] == ["000000010"]


def test_nan_goes_back_and_the_training_ends_well(
    train: Callable[..., dcgan.Run], poison: tuple[int, str], capsys: pytest.CaptureFixture[str]
) -> None:
    named, _ = poison
    run = train(40, quiet=False)
    assert events(run) == [("diverged", named, "rolled back")]
    assert [record["step"] for record in run.metrics()] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert is_finite(run)
    assert run.metrics()[-1]["images"] == 320
    output = capsys.readouterr().out
    assert f"step {named}: diverged" in output
    assert "Going back to step 10, at 0.5 of the learning rate and with other noise (time 1 of 3)" in output


# What is done about it -------------------------------------------------------------------------------------------


def failing(symptom: Symptom, at: int, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Let the log line of a step show a symptom, so many times."""
    left = [times]

    def symptoms(lines: list[dict[str, float]], scale: Any) -> list[Symptom]:
        if lines[-1]["step"] != at or not left[0]:
            return []
        left[0] -= 1
        return [symptom]

    monkeypatch.setattr(health, "SPAN", 1)
    monkeypatch.setattr(health, "symptoms", symptoms)


def severe(sound: int) -> Symptom:
    return Symptom("collapse", True, sound, "all samples are one", "Try --this.")


def test_going_back_halves_the_rates_changes_the_noise_and_forgets_what_came_after(
    train: Callable[..., dcgan.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(severe(sound=10), 30, monkeypatch)
    rates, first_noise, set_rate, latent = [], [], TrainingStep.set_rate, TrainingStep.latent

    def watched_rate(self: TrainingStep, factor: float) -> None:
        set_rate(self, factor)
        rates.append((self.updates, self.optimizer_g.param_groups[0]["lr"], self.optimizer_d.param_groups[0]["lr"]))

    def watched_noise(self: TrainingStep, n: int) -> torch.Tensor:
        z = latent(self, n)
        if self.updates == 10:
            first_noise.append(z)
        return z

    monkeypatch.setattr(TrainingStep, "set_rate", watched_rate)
    monkeypatch.setattr(TrainingStep, "latent", watched_noise)
    seen = []
    monkeypatch.setattr(health.Health, "hear", watch(health.Health.hear, lambda self, number, _: seen.append(number)))
    run = train(40, seed=3, keep_checkpoints=2)
    assert rates == [(i, 2e-3, 1e-3) for i in range(30)] + [(i, 1e-3, 5e-4) for i in range(10, 40)]
    before, after = first_noise
    assert torch.equal(after, torch.randn(8, 8, generator=torch.Generator().manual_seed(4)))
    assert not torch.equal(before, after)
    assert seen == [5, 10, 15, 20, 25, 30, 15, 20, 25, 30, 35, 40]
    assert [record["step"] for record in run.metrics()] == [5, 10, 15, 20, 25, 30, 35, 40]
    (event,) = run.health()
    assert event == {
        "step": 30,
        "images": 240,
        "symptom": "collapse",
        "evidence": "all samples are one",
        "advice": "Try --this.",
        "action": "rolled back",
    }


def test_what_was_drawn_in_the_time_undone_is_gone(
    train: Callable[..., dcgan.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(severe(sound=10), 30, monkeypatch)
    back, there = Recorder._go_back, list[list[int]]()

    def went_back(self: Recorder, failure: Symptom) -> None:
        for undone in (False, True):
            if undone:
                back(self, failure)
            there.append(sorted(int(path.stem) for path in (self.run.path / "samples").glob("*.png")))

    monkeypatch.setattr(Recorder, "_go_back", went_back)
    train(40)
    assert there == [[80, 160, 240], [80]]


def watch(method: Callable[..., Any], look: Callable[..., None]) -> Callable[..., Any]:
    def watched(*arguments: Any) -> Any:
        look(*arguments)
        return method(*arguments)

    return watched


def test_without_a_healthy_checkpoint_it_begins_again_with_other_weights(
    train: Callable[..., dcgan.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(severe(sound=5), 15, monkeypatch)
    weights = []
    original = TrainingStep.__call__

    def call(self: TrainingStep, batches: Any) -> int:
        if self.updates == 0:
            weights.append(next(self.generator.parameters()).detach().clone())
        return original(self, batches)

    monkeypatch.setattr(TrainingStep, "__call__", call)
    run = train(20)
    assert events(run) == [("collapse", 15, "rolled back")]
    assert not torch.equal(*weights)
    assert weights[0].std() == pytest.approx(0.02, rel=0.2) == weights[1].std().item()
    assert [record["step"] for record in run.metrics()] == [5, 10, 15, 20]
    assert [path.stem for path in checkpoints.saved(run.checkpoints)] == ["000000000", "000000010", "000000020"]


def test_past_the_limit_it_stops_and_says_everything(
    train: Callable[..., dcgan.Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(severe(sound=10), 15, monkeypatch, times=10)
    with pytest.raises(TrainingError) as error:
        train(40, health_limit=2)
    assert events(tmp_path / "run") == [("collapse", 15, "rolled back")] * 2 + [("collapse", 15, "stopped")]
    for part in ("step 15", "collapse", "all samples are one", "Try --this.", "2 times", "--health-limit", "000000010"):
        assert part in str(error.value)


def test_the_command_exits_with_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from dcgan.cli import main

    options = "--lr 1e-12 --image-size 16 --width 4 --images 800 --log-interval 10 --sample-interval 10 --health stop"
    assert main(["train", "digits", *options.split(), "--out", str(tmp_path / "run")]) == 1
    assert "g_stuck" in "".join(capfd.readouterr())


def test_a_mild_symptom_warns_once_while_it_lasts(
    train: Callable[..., dcgan.Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(health, "SPAN", 1)
    mild = Symptom("d_wins", False, 5, "D is always right", "Try --that.")
    monkeypatch.setattr(
        health, "symptoms", lambda lines, scale: [mild] if lines[-1]["step"] in (10, 15, 20, 30) else []
    )
    run = train(40, quiet=False)
    assert events(run) == [("d_wins", 10, "warned"), ("d_wins", 30, "warned")]
    assert capsys.readouterr().out.count("d_wins: D is always right. Try --that.") == 2


def test_a_warning_changes_nothing_of_what_is_learnt(
    train: Callable[..., dcgan.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train(30, "plain", health="warn")
    failing(severe(sound=10), 20, monkeypatch)
    warned = train(30, "warned", health="warn")
    assert events(warned) == [("collapse", 20, "warned")]
    one, other = (checkpoints.newest(run.checkpoints)[0] for run in (plain, warned))
    assert one is not None
    assert other is not None
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())


def test_the_last_healthy_checkpoint_outlives_the_newer_ones(
    train: Callable[..., dcgan.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health.Health, "sound", lambda self, step: min(step, 10))
    run = train(40, keep_checkpoints=1)
    assert [path.stem for path in checkpoints.saved(run.checkpoints)] == ["000000010", "000000040"]


def test_suspicion_counts_from_the_last_good_line_and_ends_with_the_next(tmp_path: Path) -> None:
    settings = dcgan.config.Config().training
    own = health.Health(settings, 10_000, dcgan.Run(tmp_path), dcgan.progress.Display(quiet=True))
    game = {"loss_d": 0.2, "loss_g": 0.4, "d_right": 0.7, "d_real": 0.6, "d_fake": 0.5, "grad_g": 1.0, "grad_d": 1.0}
    assert own.sound(7) == 7
    for number, gradient in ((50, 1.0), (100, 0.0), (150, 0.0)):
        assert own.hear(number, game | {"grad_g": gradient}) == []
    assert own.sound(160) == 50
    (found,) = own.hear(200, game | {"grad_g": 0.0})
    assert (found.name, found.sound) == ("g_stuck", 50)
    assert own.hear(250, game | {"grad_g": 0.0}) == []  # no news
    own.hear(300, game)
    assert own.sound(310) == 310


def test_what_is_remembered_is_bounded_and_keeps_the_looks(tmp_path: Path) -> None:
    own = health.Health(dcgan.config.Config().training, 1, dcgan.Run(tmp_path), dcgan.progress.Display(quiet=True))
    for number in range(50, 50_030, 10):
        look = {"dead_g": 0.0, "dead_d": 0.0} if number % 5000 == 0 else {}
        own.hear(number, {"grad_g": 1.0} | look)
    kept = [line["step"] for line in own.lines]
    assert kept == [*range(15_000, 45_001, 5000), *range(48_050, 50_001, 50)]
    assert len(own.pending) == 2
    again = health.Health(dcgan.config.Config().training, 1, dcgan.Run(tmp_path), dcgan.progress.Display(quiet=True))
    again.restore(json.loads(json.dumps(own.state())))
    assert again.state() == own.state()


@pytest.mark.parametrize("interval", [1, 7, 50, 200])
def test_the_log_interval_changes_no_verdict(tmp_path: Path, interval: int) -> None:
    """Losses that are loud for the first steps alone, as at any start; then D gets them all wrong."""
    own = health.Health(dcgan.config.Config().training, 10_000, dcgan.Run(tmp_path), dcgan.progress.Display(quiet=True))
    game = {"loss_d": 0.2, "loss_g": 0.4, "d_real": 0.6, "d_fake": 0.5, "grad_g": 1.0, "grad_d": 1.0}
    named = []
    for number in range(interval, 3000, interval):
        covered = range(number - interval, number)
        loss = sum(90.0 if step == 1 else 0.4 for step in covered) / interval
        right = sum(0.7 if step < 400 else 0.1 for step in covered) / interval
        named += [(symptom.name, number) for symptom in own.hear(number, game | {"loss_g": loss, "d_right": right})]
    ((name, at),) = named
    assert name == "d_blind"
    assert 890 <= at <= 400 + 11 * max(60, interval)


# Resuming --------------------------------------------------------------------------------------------------------


def test_a_training_that_went_back_resumes_bit_for_bit_at_its_lower_rate(
    train: Callable[..., dcgan.Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(severe(sound=10), 25, monkeypatch)
    whole = train(50, "whole", keep_checkpoints=100, preset="fast")
    assert events(whole) == [("collapse", 25, "rolled back")]
    for killed_at in ("000000010", "000000030"):  # just after it had gone back, and later
        parts = tmp_path / killed_at
        shutil.copytree(whole.path, parts)
        for path in checkpoints.saved(parts / "checkpoints"):
            if path.stem > killed_at:
                path.unlink()
        resumed = dcgan.train(resume=parts, quiet=True)
        first, second = (checkpoints.newest(run.checkpoints)[0] for run in (whole, resumed))
        assert first is not None
        assert second is not None
        assert first.counters["health"]["rollbacks"] == 1
        assert (first.place, first.counters) == (second.place, second.counters)
        assert all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())
        clock = ("seconds", "images_per_second")
        one, other = (
            [{k: v for k, v in r.items() if k not in clock} for r in run.metrics()] for run in (whole, resumed)
        )
        assert one == other


def test_a_resume_may_treat_symptoms_otherwise(train: Callable[..., dcgan.Run]) -> None:
    run = train(10)
    dcgan.train(resume=run.path, images=160, health="stop", health_limit=7, quiet=True)


# Healthy trainings -----------------------------------------------------------------------------------------------


HEALTHY: list[dict[str, Any]] = [
    {},
    {"seed": 1},
    {"loss": "bce", "label_smoothing": 0.0},
    {"loss": "hinge"},
    {"loss": "relativistic", "r1": 0.1},
    {"loss": "wasserstein", "discriminator_norm": "none", "lr": 2e-4, "lr_d": 2e-4},
    {"conditional": True},
    {"preset": "blog"},
    {"preset": "paper-svhn"},
    {"preset": "paper-mnist"},
]


@pytest.mark.parametrize("settings", HEALTHY, ids=str)
def test_no_false_alarm(tmp_path: Path, tiny: dict[str, Any], settings: dict[str, Any]) -> None:
    """Short ones, looked at all the time; docs/training.md has longer ones."""
    for name in {"paper-mnist": ["image_size"], "blog": ["width"]}.get(settings.get("preset", ""), []):
        del tiny[name]
    run = dcgan.train("digits", out=tmp_path / "run", images=8 * 40, **(OFTEN | tiny | settings))
    assert run.health() == []
    looks = [record for record in run.metrics() if "diversity" in record]
    assert len(looks) == 4
