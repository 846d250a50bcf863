from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import dcgan
from dcgan.cli import main
from dcgan.training.step import TrainingStep

TINY = ["--image-size", "16", "--width", "4", "--latent-dim", "8", "--batch-size", "8", "--device", "cpu"]
POST = [
    "--preset",
    "blog",
    "--n_epochs",
    "1",
    "--batch_size",
    "64",
    "--lr",
    "0.0002",
    "--b1",
    "0.5",
    "--b2",
    "0.999",
    "--n_cpu",
    "8",
    "--latent_dim",
    "100",
    "--img_size",
    "32",
    "--channels",
    "1",
    "--sample_interval",
    "400",
    "-f",
    "dummy",
]


def settings(folder: Path) -> dict[str, Any]:
    return dcgan.Run.open(folder).config.flat()


def test_train_says_where_things_are_and_what_is_next(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my run"
    assert main(["train", str(photos), "--images", "32", "--out", str(out), *TINY]) == 0
    text = capsys.readouterr().out
    assert f"the last grid is {out / 'samples' / '0000000032.png'}" in text
    assert f"dcgan sample '{out}' -n 25" in text


def test_the_posts_own_command_line(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(["train", str(photos), *POST, "--out", str(out)]) == 0
    made = settings(out)
    assert (made["image_size"], made["channels"], made["workers"], made["beta1"]) == ("32", "1", 8, 0.5)
    assert (out / "images" / "1.png").exists()


@pytest.mark.parametrize("dummy", [["-f", "run/kernel-1f2e.json"], ["--fff", "1"], ["--fff=1"]])
def test_the_dummy_of_notebooks_is_left_out(dummy: list[str], photos: Path, tmp_path: Path) -> None:
    assert main(["train", *dummy, str(photos), "--images", "8", "--out", str(tmp_path / "run"), *TINY]) == 0
    assert settings(tmp_path / "run")["data"] == str(photos)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-f", "PHOTOS"], "-f PHOTOS: is no option for data; name it without: dcgan train PHOTOS"),
        (["--fff=nowhere/photos.zip"], "--fff nowhere/photos.zip: is no option for data"),
        (["-f", "mnist"], "-f mnist: is no option for data"),
        (["-f", "here"], "-f here: is no option for data"),
        (["-flip"], "-flip"),
        (["-f"], "-f"),
    ],
)
def test_the_dummy_swallows_neither_data_nor_a_mistyped_option(
    words: list[str],
    said: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    words = [word.replace("PHOTOS", str(photos)) for word in words]
    assert main(["train", *words, "--images", "8", "--out", "run", *TINY]) == 2
    printed = capsys.readouterr()
    assert said.replace("PHOTOS", str(photos)) in printed.err + printed.out
    assert not (tmp_path / "run").exists()


def test_dashes_and_underscores_are_alike(photos: Path, tmp_path: Path) -> None:
    for name, options in (
        ("a", ["--batch-size", "8", "--n-epochs", "1"]),
        ("b", ["--batch_size", "8", "--n_epochs", "1"]),
    ):
        assert main(["train", str(photos), "--preset", "blog", *options, "--out", str(tmp_path / name)]) == 0
    assert settings(tmp_path / "a") == settings(tmp_path / "b")
    assert settings(tmp_path / "a")["n_epochs"] == 1


def test_runs_are_numbered(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["train", str(photos), "--images", "16", *TINY]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        f"{photos.name}-fast",
        f"{photos.name}-fast-2",
    ]


def test_a_file_of_settings_lies_between_preset_and_options(photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("preset: paper-svhn\nnetwork: {width: 4}\ntraining: {lr: 3e-4, batch_size: 8, n_epochs: 3}\n")
    arguments = ["train", str(photos), "--config", str(file), "--beta2", "0.9", "--images", "32"]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 0
    made = settings(tmp_path / "run")
    assert dcgan.Run.open(tmp_path / "run").config.preset == "paper-svhn"
    assert (made["lr"], made["beta2"], made["width"], made["latent"]) == (3e-4, 0.9, 4, "normal")
    assert (made["images"], made["n_epochs"]) == (32, None)


def test_the_config_of_a_run_makes_the_same_run(photos: Path, tmp_path: Path) -> None:
    assert main(["train", str(photos), "--images", "16", *TINY, "--out", str(tmp_path / "a")]) == 0
    assert main(["train", "--config", str(tmp_path / "a" / "config.yaml"), "--out", str(tmp_path / "b")]) == 0
    for name in ("config.yaml", "generator.safetensors"):
        assert (tmp_path / "a" / name).read_bytes()[-500:] == (tmp_path / "b" / name).read_bytes()[-500:]


def test_a_file_lies_over_the_settings_of_a_resumed_run(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", str(photos), "--images", "16", "--out", str(out), *TINY]) == 0
    (tmp_path / "longer.yaml").write_text("training: {images: 32}\n")
    (tmp_path / "other.yaml").write_text("training: {images: 64, lr: 0.5}\n")
    assert main(["train", "--resume", str(out), "--config", str(tmp_path / "longer.yaml")]) == 0
    assert dcgan.Run(out).metrics()[-1]["images"] == 32
    assert main(["train", "--resume", str(out), "--config", str(tmp_path / "other.yaml")]) == 2
    assert "lr: 0.002 in the run, 0.5 asked for" in capsys.readouterr().err
    assert main(["train", "--resume", str(out), "--out", str(tmp_path / "copy"), "--images", "64"]) == 2
    assert "leave --out out" in capsys.readouterr().err


def test_the_config_of_a_conditional_run_without_its_classes(tmp_path: Path) -> None:
    length = ["--images", "16", *TINY]
    assert main(["train", "digits", "--conditional", "--out", str(tmp_path / "classes"), *length]) == 0
    file = str(tmp_path / "classes" / "config.yaml")
    assert (
        main(["train", "digits", "--config", file, "--no-conditional", "--out", str(tmp_path / "none"), *length]) == 0
    )
    assert dcgan.Run(tmp_path / "none").config.network.classes == 0


def test_resume_by_command(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    assert main(["train", str(photos), "--images", "16", *TINY, "--out", out]) == 0
    assert main(["train", "--resume", out, "--images", "48"]) == 0
    assert "from step 2" in capsys.readouterr().out
    monkeypatch.chdir(photos.parent)
    assert main(["train", photos.name, "--resume", out, "--images", "56"]) == 0  # the same data, said otherwise
    assert main(["train", "--resume", out, "--images", "64", "--lr", "0.1", "--preset", "blog"]) == 2
    error = capsys.readouterr().err
    assert "lr: 0.002 in the run, 0.1 asked for" in error
    assert "preset: fast in the run, blog asked for" in error


def test_an_interrupt_saves_and_says_how_to_go_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = TrainingStep.play

    def interrupted(self: TrainingStep, *arguments: Any, **named: Any) -> Any:
        if self.updates == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments, **named)

    monkeypatch.setattr(TrainingStep, "play", interrupted)
    out = tmp_path / "my run"
    assert main(["train", str(photos), "--images", "8000", *TINY, "--out", str(out)]) == 130
    assert f"dcgan train --resume '{out}'" in capsys.readouterr().out
    assert list((out / "checkpoints").iterdir())


def bad(name: str, tmp_path: Path) -> str:
    """A path with something wrong with it."""
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name == "no_image":
        path.mkdir()
        (path / "notes.txt").write_text("hello")
    elif name == "all_corrupt":
        path.mkdir()
        for i in range(3):
            (path / f"{i}.png").write_text("not an image")
    elif name == "half_corrupt":
        path.mkdir()
        (path / "bad.jpg").write_bytes(b"")
        Image.new("RGB", (16, 16)).save(path / "good.png")
    elif name == "pickle.pt":
        path.write_bytes(b"\x80\x04}q\x00.")
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{missing}"], "missing"),
        (["mnst"], "did you mean 'mnist'"),
        (["{empty}"], "empty"),
        (["{no_image}"], ".txt"),
        (["{all_corrupt}"], "3"),
        (["{half_corrupt}"], "--max-skipped"),
        (["{pickle.pt}"], "pickle"),
        (["digits", "--preset", "fsat"], "did you mean 'fast'"),
        (["digits", "--widht", "3"], "--width"),
        (["digits", "--batch-size", "many", "--lr", "fast"], "2 problems"),
        (["digits", "--images", "100,000"], "images: '100,000' is not a whole number"),
        (["digits", "--classes", "10"], "--classes"),
        (["digits", "--image-size", "0"], "16 and 17"),
        (["digits", "--image-size", "big"], "'big' is not auto"),
        (["digits", "--preset", "blog", "--image-size", "30"], "28 and 32"),
        (["digits", "--images", "10", "--minutes", "1"], "give one of images, n_epochs, minutes"),
        (["digits", "--batch-size", "0", "--lr", "-1", "--b1", "1"], "3 problems"),
        (["digits", "--device", "cuda"], "not available"),
        (["digits", "--config", "{missing}"], "cannot be read"),
        (["--resume", "{missing}"], "no such run directory"),
        (["digits", "--resume"], "--resume"),
        (["digits", "--lr", "nan"], "outside (0, 1]"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_message_and_nothing_written(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    filled = [bad(a[1:-1], tmp_path) if a.startswith("{") else a for a in arguments]
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", *filled]) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert "Traceback" not in printed.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training: {lrr: 1}", "training: unknown key 'lrr'; did you mean 'lr'"),
        ("lr: 1e-3", "it belongs under training:"),
        ("netwrok: {width: 3}", "did you mean 'network'"),
        ("training: {lr: fast}", "lr: 'fast' is not a number"),
        ("training: [1, 2]", "wants settings below it"),
        ("[1, 2]", "wants sections"),
        ("a: [", "not valid YAML"),
        ("!!python/object/apply:os.system ['echo hacked']", "tags are not read here"),
        ("preset: blgo", "did you mean 'blog'"),
    ],
)
def test_bad_files_of_settings(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert main(["train", "digits", "--config", str(file)]) == 2
    assert said in capsys.readouterr().err


def test_an_existing_out_is_left_alone(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert main(["train", str(photos), *TINY, "--images", "16", "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    assert main(["train", str(photos), *TINY, "--images", "16", "--out", str(out / "thesis.txt")]) == 2
    assert main(["train", str(photos), *TINY, "--images", "16", "--out", str(out / "thesis.txt" / "run")]) == 2
    assert (out / "thesis.txt").read_text() == "years of work"


def test_config_yaml_is_written_before_the_first_step(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []

    def first(self: TrainingStep, batches: Any) -> int:
        seen.append(yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()))
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingStep, "__call__", first)
    assert main(["train", str(photos), *TINY, "--images", "16", "--out", str(tmp_path / "run")]) == 130
    assert seen[0]["training"]["images"] == 16
