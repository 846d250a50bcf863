from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import dcgan
from dcgan.config import TrainingConfig
from dcgan.errors import InputError
from dcgan.presets import load_preset
from dcgan.progress import Display, Position
from dcgan.run import Run
from dcgan.training import checkpoint as checkpoints
from dcgan.training import start_run
from dcgan.training.loop import Interrupted, Length, rate_factor, steps
from dcgan.training.prepare import describe_data, prepare
from dcgan.training.step import TrainingStep


def test_a_run_directory_keeps_the_contract(finished: dcgan.Run) -> None:
    names = {str(path.relative_to(finished.path)) for path in finished.path.rglob("*") if path.is_file()}
    assert names == {
        "config.yaml",
        "data.json",
        "metrics.jsonl",
        "sessions.jsonl",
        "report.html",
        "model.json",
        "generator.safetensors",
        "discriminator.safetensors",
        "checkpoints/000000012.safetensors",
        "checkpoints/000000018.safetensors",
        "checkpoints/000000020.safetensors",
        "samples/0000000064.png",
        "samples/0000000128.png",
        "samples/0000000160.png",
        "samples/progress.gif",
    }


def test_metrics_lines_keep_the_contract(finished: dcgan.Run) -> None:
    records = finished.metrics()
    assert [record["step"] for record in records] == [5, 10, 15, 20]
    assert [record["images"] for record in records] == [40, 80, 120, 160]
    expected = {"step", "images", "seconds", "images_per_second", "loss_d", "loss_g", "d_real", "d_fake"}
    expected |= {"d_right", "grad_g", "grad_d", "augment_p"}
    look = {"diversity", "dead_g", "dead_d"}
    assert [set(record) - expected for record in records] == [set(), look, set(), look | {"oscillation"}]
    assert all(expected <= set(record) for record in records)
    assert all(0 < record["d_real"] < 1 and record["images_per_second"] > 0 for record in records)


def test_settings_are_resolved(finished: dcgan.Run, photos: Path) -> None:
    config = finished.config
    assert (config.network.channels, config.data.data) == ("3", str(photos.resolve()))
    assert finished.data["images"] == 40
    assert finished.data["shape"] == [16, 16, 3]
    assert finished.data["class_names"] == ["bright", "dark"]


@pytest.mark.parametrize(
    "settings", [{"condition": "projection"}, {"condition": "concat"}, {"family": "mnist"}], ids=str
)
def test_classes_have_the_names_of_their_folders(
    photos: Path, tmp_path: Path, tiny: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Bright and dark noise, told apart by the classes alone: soon learnt by `fast`, and drawn under their names."""
    fast = "family" not in settings
    images = 1600 if fast else 80
    run = dcgan.train(photos, out=tmp_path / "run", conditional=True, images=images, **tiny | settings)
    generator = dcgan.Generator.from_pretrained(run.path)
    assert generator.info.class_names == ("bright", "dark")
    bright, dark = generator.sample(16, label="bright"), generator.sample(16, label="dark")
    assert np.array_equal(generator.sample(16, label=1), dark)
    assert not fast or bright.mean() > dark.mean() + 20
    with pytest.raises(InputError, match=r"did you mean 'dark'\? \(there are: bright, dark\)"):
        generator.sample(label="drak")


def test_the_grid_is_what_sample_draws(finished: dcgan.Run) -> None:
    images = dcgan.Generator.from_pretrained(finished.path).sample(64, seed=0)
    with Image.open(finished.path / "samples" / "0000000160.png") as grid:
        first = np.asarray(grid)[2:18, 2:18]
    assert np.array_equal(first, images[0])


def test_same_seed_same_weights_other_seed_others(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    def weights(name: str, seed: int) -> bytes:
        dcgan.train(photos, out=tmp_path / name, images=40, seed=seed, **tiny)
        return b"".join(
            t.numpy().tobytes() for t in dcgan.Generator.from_pretrained(tmp_path / name).state_dict().values()
        )

    assert weights("a", 1) == weights("b", 1) != weights("c", 2)


def test_trainings_in_turn_learn_what_each_learns_alone(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    """A step of one, then one of the other: neither the noise nor the batches of the two mix."""
    quiet = Display(quiet=True)

    def begun(seed: int) -> Iterator[None]:
        settings = tiny | {"images": 80, "seed": seed, "data": str(photos)}
        del settings["quiet"]
        config, packed, _ = prepare(load_preset("fast").replace(**settings), quiet)
        return steps(config, Run.create(tmp_path / f"turns-{seed}", config, describe_data(packed)), packed, quiet)

    assert len([*zip(begun(1), begun(2), strict=True)]) == 10
    for seed in (1, 2):
        dcgan.train(photos, out=tmp_path / f"alone-{seed}", images=80, seed=seed, **tiny)
        turns, alone = (load_file(tmp_path / f"{how}-{seed}" / "generator.safetensors") for how in ("turns", "alone"))
        assert all(torch.equal(turns[name], alone[name]) for name in alone)


def test_callers_random_state_is_untouched(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    dcgan.train(photos, out=tmp_path / "run", images=16, **tiny)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "blog", "image_size": 16},
        {"preset": "paper", "width": 4},
        {"preset": "paper-svhn", "width": 4},
        {"preset": "paper-imagenet32", "width": 4},
        {"preset": "paper-mnist", "width": 4},
        {"conditional": True},
        {"image_size": "16x24"},
        {"loss": "hinge", "d_steps": 2},
        {"loss": "wasserstein", "discriminator_norm": "none"},
        {"loss": "relativistic", "r1": 1.0, "flip": True},
        {"loss": "least-squares", "label_smoothing": 0.1, "ema": 0},
        {"precision": "bf16", "lr_decay": "cosine"},
    ],
    ids=str,
)
def test_every_recipe_trains_and_draws(
    photos: Path, tmp_path: Path, tiny: dict[str, Any], settings: dict[str, Any]
) -> None:
    if "preset" in settings:
        del tiny["image_size"], tiny["width"], tiny["latent_dim"]
    run = dcgan.train(photos, out=tmp_path / "run", **({"images": 32, "log_interval": 2} | tiny | settings))
    assert run.metrics()[-1]["images"] >= 30
    config = run.config.network
    drawn = dcgan.Generator.from_pretrained(run.path).sample(3)
    assert drawn.shape == (3, *config.size, config.image_channels)
    logits = dcgan.Discriminator.from_pretrained(run.path)(
        torch.zeros(2, config.image_channels, *config.size), torch.tensor([0, 1]) if config.conditional else None
    )
    assert logits.shape == (2,)


def test_blog_grids_have_the_posts_names(photos: Path, tmp_path: Path) -> None:
    run = dcgan.train(
        photos,
        out=tmp_path / "run",
        preset="blog",
        n_epochs=2,
        batch_size=8,
        sample_interval=4,
        image_size=16,
        quiet=True,
    )
    assert {p.name for p in (run.path / "images").iterdir()} == {"4.png", "8.png", "10.png"}
    assert [record["step"] for record in run.metrics()] == [10]  # fewer steps than a log line has: one at the end
    with Image.open(run.path / "images" / "10.png") as grid:
        assert grid.size == (5 * 18 + 2, 5 * 18 + 2)


def test_partial_batches_show_every_image_once_an_epoch(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    tiny["batch_size"] = 16
    run = dcgan.train(photos, out=tmp_path / "run", n_epochs=1, partial_batches=True, log_interval=1, **tiny)
    assert [record["images"] for record in run.metrics()] == [16, 32, 40]


def test_minutes_end_a_training(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    run = dcgan.train(photos, out=tmp_path / "run", minutes=0.02, log_interval=1, **tiny)
    assert 1.0 < run.metrics()[-1]["seconds"] < 30.0


def test_fewer_images_than_the_batch(
    photos: Path, tmp_path: Path, tiny: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = dcgan.train(photos, out=tmp_path / "run", images=100, **(tiny | {"batch_size": 100, "quiet": False}))
    assert "40 images, fewer than the batch of 100" in capsys.readouterr().out
    assert (run.path / "generator.safetensors").exists()


def test_one_length_only(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="give one of images, n_epochs, minutes"):
        dcgan.train(photos, out=tmp_path / "run", images=10, minutes=1, **tiny)
    assert not (tmp_path / "run").exists()


def test_classes_are_counted_and_not_given(photos: Path, tmp_path: Path, finished: dcgan.Run) -> None:
    with pytest.raises(InputError, match="classes: the data say how many; give conditional=True"):
        dcgan.train(photos, out=tmp_path / "run", classes=7)
    assert not (tmp_path / "run").exists()
    run = dcgan.train(**finished.config.flat() | {"out": tmp_path / "again", "images": 16, "quiet": True})
    assert run.config.network == finished.config.network


def test_length_and_its_words() -> None:
    assert Length(TrainingConfig(images=200), 100).share(Position(1, 50, 9.0)) == 0.25
    assert Length(TrainingConfig(n_epochs=2), 100).share(Position(1, 50, 9.0)) == 0.25
    assert Length(TrainingConfig(minutes=2), 100).share(Position(1, 50, 30.0)) == 0.25
    assert str(Length(TrainingConfig(n_epochs=2), 100)) == "200 images (2 epochs)"
    assert str(Length(TrainingConfig(minutes=1.5), 100)) == "1.5 minutes"


def test_learning_rate_falls_as_asked() -> None:
    linear = TrainingConfig(lr_decay="linear", lr_decay_start=0.5)
    assert [rate_factor(linear, done) for done in (0, 0.5, 0.75, 1.0, 1.1)] == [1, 1, 0.5, 0, 0]
    cosine = TrainingConfig(lr_decay="cosine")
    assert [round(rate_factor(cosine, done), 6) for done in (0, 0.5, 1.0)] == [1, 0.5, 0]
    assert rate_factor(TrainingConfig(), 0.99) == 1


def test_the_fallen_rate_reaches_the_optimisers(
    photos: Path, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    original = TrainingStep.set_rate

    def watched(self: TrainingStep, factor: float) -> None:
        original(self, factor)
        rates.append(self.optimizer_g.param_groups[0]["lr"] / 2e-3)

    monkeypatch.setattr(TrainingStep, "set_rate", watched)
    dcgan.train(photos, out=tmp_path / "run", images=32, lr_decay="linear", **tiny)
    assert rates == pytest.approx([1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_where(
    photos: Path, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    after(3, lambda: os.kill(os.getpid(), number), monkeypatch)
    with pytest.raises(Interrupted) as stopped:
        dcgan.train(photos, out=tmp_path / "run", images=8000, **tiny)
    assert stopped.value.run.path == tmp_path / "run"
    newest, _ = checkpoints.newest(tmp_path / "run" / "checkpoints")
    assert newest is not None
    assert newest.position.step == 3
    assert (tmp_path / "run" / "generator.safetensors").exists()


def test_it_saves_and_ends_when_whoever_read_its_display_has_left(
    photos: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    display = Display(quiet=tiny.pop("quiet"))
    display.left = True
    with pytest.raises(Interrupted):
        start_run(load_preset("fast").replace(data=str(photos), images=8000, **tiny), tmp_path / "run", display)
    assert (tmp_path / "run" / "generator.safetensors").exists()


def test_training_works_in_another_thread(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    thread = threading.Thread(target=lambda: dcgan.train(photos, out=tmp_path / "run", images=16, **tiny))
    thread.start()
    thread.join(60)
    assert (tmp_path / "run" / "generator.safetensors").exists()


def test_a_full_disk_keeps_the_last_good_checkpoint(
    photos: Path, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    after(5, lambda _step=None: monkeypatch.setattr("os.fsync", full), monkeypatch)
    with pytest.raises(InputError, match=r"No space left on device.*000000004.*dcgan train --resume"):
        dcgan.train(photos, out=tmp_path / "run", images=8000, checkpoint_interval=4, **tiny)
    monkeypatch.undo()
    run = dcgan.train(resume=tmp_path / "run", images=64, quiet=True)
    assert checkpoints.saved(run.checkpoints)[-1].stem == "000000008"


def test_tensorboard_gets_the_metrics(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    pytest.importorskip("tensorboard")
    run = dcgan.train(photos, out=tmp_path / "run", images=16, log_interval=1, tensorboard=True, **tiny)
    assert list((run.path / "tensorboard").glob("events.*"))


def test_a_missing_extra_says_what_to_install(
    photos: Path, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'dcgan\[tensorboard\]'"):
        dcgan.train(photos, out=tmp_path / "run", tensorboard=True, images=16, **tiny)
    assert not (tmp_path / "run").exists()


def test_data_json_lists_what_was_skipped(photos: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photos.rglob("*.png"):
        (folder / f"{path.parent.name}{path.name}").write_bytes(path.read_bytes())
    (folder / "broken.png").write_text("not an image")
    run = dcgan.train(folder, out=tmp_path / "run", images=16, **tiny)
    (skipped,) = json.loads((run.path / "data.json").read_text())["skipped"]
    assert skipped["name"] == "broken.png"


def after(steps: int, action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something once, in the middle of the training: at the end of that step."""
    original = TrainingStep.__call__

    def call(self: TrainingStep, batches: Any) -> int:
        shown = original(self, batches)
        if self.updates == steps:
            action(self) if action.__code__.co_argcount else action()
        return shown

    monkeypatch.setattr(TrainingStep, "__call__", call)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_trains_resumes_and_draws(photos: Path, tmp_path: Path, tiny: dict[str, Any], precision: str) -> None:
    settings = tiny | {"device": "cuda", "precision": precision}
    dcgan.train(photos, out=tmp_path / "run", images=80, log_interval=5, **settings)
    run = dcgan.train(resume=tmp_path / "run", images=160, quiet=True)
    assert [record["step"] for record in run.metrics()] == [5, 10, 15, 20]
    assert dcgan.Generator.from_pretrained(run.path, device="cuda").sample(70).shape == (70, 16, 16, 3)
