"""`dcgan latent arithmetic`, `turn` and `project` from end to end."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch import nn

import dcgan
from dcgan import images
from dcgan.cli import main
from dcgan.data.pack import Pack
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.latent import attributes
from dcgan.latent import project as projecting
from dcgan.latent.saved import read_direction
from dcgan.latents import latents
from dcgan.pretrained import Discriminator, Generator, ModelInfo


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `photos` whose generator draws various things."""
    out = tmp_path_factory.mktemp("runs") / "run"
    dcgan.train(photos, out=out, images=16, image_size=16, width=8, latent_dim=8, batch_size=8, quiet=True)
    generator = Generator.from_pretrained(out, "cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    generator.save_pretrained(out)
    return out


class Bright(nn.Module):
    """Brighter or darker than half of a run's drawings."""

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.middle = float(np.median(Generator.from_pretrained(run, "cpu").sample(500, 1).mean((1, 2, 3))))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        over = pixels.float().mean((1, 2, 3))[:, None] - self.middle
        return over, torch.cat([over, -over], 1)


@pytest.fixture
def trained(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier of bright and dark without a training."""

    def load(part: Pack, *_: object) -> TrainedClassifier:
        network: Any = Bright(run)
        return TrainedClassifier(network, part.class_names, (16, 16, 3), part.key, torch.device("cpu"))

    monkeypatch.setattr(attributes, "load_classifier", load)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def command(name: str, *words: object) -> int:
    return main(["latent", name, *map(str, words)])


def test_arithmetic_by_numbers(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, json_file = tmp_path / "a.png", tmp_path / "a.json"
    options = f"--a 3,17 --b 1 --c 2,5,66 --seed 4 --noise 0.1 --out {out} --json {json_file}"
    assert command("arithmetic", run, *options.split()) == 0
    record = json.loads(json_file.read_text())
    z = latents(67, 8, 4)
    expected = z[[3, 17]].mean(0) - z[1] + z[[2, 5, 66]].mean(0)
    expected *= 7.5**0.5 / expected.norm()  # as long as z of eight numbers are
    assert np.allclose(record["z"][4], expected, atol=1e-6)
    assert record["b"]["numbers"] == [1]
    assert record["trials"] is None
    generator = Generator.from_pretrained(run, "cpu")
    sheet = pixels(out)
    drawn = generator.draw(torch.tensor(record["z"])[4:5])[0]
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (16, 16, 3))[:, :, 0]
    assert (windows == drawn).all((2, 3, 4)).sum() == 1
    assert "a: samples 3, 17" in capsys.readouterr().out


@pytest.mark.usefixtures("trained")
def test_arithmetic_by_class_with_trials(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = f"--a bright --b dark --c dark --confidence 0.8 --trials 5 --json {tmp_path / 'a.json'}"
    assert command("arithmetic", run, *options.split(), "--out", tmp_path / "a.png") == 0
    record = json.loads((tmp_path / "a.json").read_text())
    numbers = [number for name in "abc" for number in record[name]["numbers"]]
    assert len(set(numbers)) == 9
    assert min(record["c"]["confidences"]) >= 0.8
    assert record["trials"]["trials"] == 5
    assert record["trials"]["centres"]["n"] == 5
    printed = capsys.readouterr().out
    assert "share judged 'bright', in 5 trials of bright - dark + dark, 3 samples each:" in printed
    assert "the judge: " in printed


@pytest.mark.usefixtures("trained")
def test_turn_and_its_direction(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picker = attributes.load_classifier

    def load(part: Pack, *others: Any) -> TrainedClassifier:
        loaded = picker(part, *others)
        if ", judge" in part.key:
            loaded.network.middle = -1.0  # type: ignore[assignment]
        return loaded

    monkeypatch.setattr(attributes, "load_classifier", load)
    first, again, kept = tmp_path / "t.png", tmp_path / "t.gif", tmp_path / "d.safetensors"
    options = f"--from dark --to bright --confidence 0.6 -n 3 --steps 5 --save-direction {kept}"
    assert command("turn", run, *options.split(), "--out", first) == 0
    assert pixels(first).shape == (3 * 18 + 2, 5 * 18 + 2, 3)
    printed = capsys.readouterr().out
    assert "from dark to bright" in printed
    assert "the judge sees bright in 100%, 100%, 100%, 100%, 100%" in printed  # and the picker does not
    generator = Generator.from_pretrained(run, "cpu")
    assert read_direction(kept, generator).end == "bright"
    assert command("turn", run, "--direction", kept, "--out", again, "--steps", 5) == 0
    with Image.open(again) as gif:
        frames = list(ImageSequence.Iterator(gif))
        assert len({frame.info["duration"] for frame in frames}) == 1  # nowhere does it stop
        assert len(frames) == 8
    one = f"--from 1,2 --to 3 -n 2 --steps 3 --seed 7 --reach 1 --out {tmp_path / 'n.png'}"
    assert command("turn", run, *one.split()) == 0
    z = latents(6, 8, 7)
    vector = z[3] - z[[1, 2]].mean(0)
    end = generator.draw(z[4:5] + vector)[0]  # the second row: 0 and 4 are the first that are not in the vector
    assert np.array_equal(pixels(tmp_path / "n.png")[20:36, 38:54], end)


def test_project_and_arithmetic_on_what_it_found(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = Generator.from_pretrained(run, "cpu")
    for i, image in enumerate(generator.sample(3, seed=50)[1:]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    kept, out = tmp_path / "found.json", tmp_path / "p.png"
    options = f"--restarts 3 --steps 40 --json {kept} --out {out} --features 0.01"
    assert command("project", run, tmp_path / "0.png", tmp_path / "1.png", *options.split()) == 0
    record = json.loads(kept.read_text())
    assert [Path(image["file"]).name for image in record["images"]] == ["0.png", "1.png"]
    assert [len(image["restarts"]) for image in record["images"]] == [3, 3]
    for image in record["images"]:
        assert image["error"] == image["restarts"][0]["error"] < image["nearest_of_1000_samples"]
    sheet = pixels(out)
    assert sheet.shape == (2 * 18 + 2, 4 * 18 + 2, 3)
    assert np.array_equal(sheet[20:36, 2:18], generator.sample(3, seed=50)[2])
    best = torch.tensor(record["images"][1]["z"])[None]
    assert np.array_equal(sheet[20:36, 20:36], generator.draw(best)[0])
    assert "the nearest of 1,000 samples" in capsys.readouterr().out
    options = f"--a {kept} --b 1 --c 2 --out {tmp_path / 'a.png'} --json {tmp_path / 'a.json'}"
    assert command("arithmetic", run, *options.split()) == 0
    a = json.loads((tmp_path / "a.json").read_text())["a"]
    assert np.allclose(a["mean"], np.mean([image["z"] for image in record["images"]], 0), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("arithmetic", "--a 1 --b 2 --c 3 --out x.jpg", "ends in .png"),
        ("arithmetic", "--a 1 --b 2 --out x.png", "--c"),
        ("arithmetic", "--a 1 --b 2 --c brigth --out x.png", "c: no class 'brigth'; did you mean 'bright'"),
        ("arithmetic", "--a 1 --b 2 --c 3 --out x.png --trials 3", "trials: want a class"),
        ("arithmetic", "--a 1 --b 2 --c none.json --out x.png", "none.json: cannot be read"),
        ("arithmetic", "--a bright --b 2 --c 3 --out x.png --data nowhere", "no data at"),
        ("arithmetic", "--a 1 --b 2 --c 3 --noise -1 --out x.png", "noise"),
        ("arithmetic", "--a 1 --b 2 --c 3 --noise 1e308 --out x.png", "noise: 1e+308 is outside [0, 1000]"),
        ("arithmetic", f"--a {'9' * 5000} --b 2 --c 3 --out x.png", "a: sample 99999999999999999999 is outside"),
        ("arithmetic", "--a 1 --b 2 --c 3 --out x.png --json ./x.png", "x.png: is named twice"),
        ("turn", "--from 1 --out x.png", "both ends"),
        ("turn", "--from 1 --to 2 --direction d.safetensors --out x.png", "both ends"),
        ("turn", "--from 1 --to 2 --out x.mp4", "ends in .png or .gif"),
        ("turn", "--from 1 --to 2 --out x.png --save-direction d.pt", "ends in .safetensors"),
        ("turn", "--direction none.safetensors --out x.png", "no such file"),
        ("turn", "--from 1 --to 2 --out x.png --steps 1", "1 steps"),
        ("turn", "--from 1 --to 2 --out x.png -n 3000000", "27,000,000 images are too many"),
        ("turn", f"--from 1 --to 2 --out {'x' * 300}.png", "cannot be written (File name too long)"),
        ("project", "none.png --out x.png", "none.png: cannot be read"),
        ("project", "none.png --out x.gif", "ends in .png"),
        ("project", "--out x.png", "no picture named"),
        ("project", "none.png --out x.png --json x.png", "x.png: is named twice"),
        ("project", "none.png --out x.png --class bright", "trained without classes"),
        ("project", "PICTURE --out x.png --rate inf", "at rate inf, features 0: wants"),
        ("project", "PICTURE --out x.png --features inf", "at rate 0.2, features inf: wants"),
        ("project", "PICTURE --out x.png --features nan", "at rate 0.2, features nan: wants"),
    ],
)
def test_wrong_input(
    run: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = str(next((photos / "dark").iterdir()))
    assert command(name, run, *(picture if word == "PICTURE" else word for word in options.split())) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", ["arithmetic --a 1 --b 2 --c 3", "turn --from 1 --to 2", "project 0.png --steps 1 --restarts 1"]
)
def test_a_picture_that_cannot_be_written_is_said(
    run: Path, tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Project's latents, the work of minutes, are kept then."""

    def full(path: Path, _: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 16)).save("0.png")
    monkeypatch.setattr(images, "write_atomically", full)
    name, *rest = words.split()
    kept = ["--json", "found.json"] if name == "project" else []
    assert command(name, run, *rest, "--out", "x.png", *kept) == 2
    assert "x.png: cannot be written (No space left on device)" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"0.png", *kept[1:]}


@pytest.mark.parametrize(("trouble", "code"), [(KeyboardInterrupt(), 130), (RuntimeError("out of memory"), 1)])
@pytest.mark.parametrize("done", [0, 2])
def test_what_was_found_before_trouble_is_written(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trouble: BaseException,
    code: int,
    done: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"{i}.png" for i in range(4)]
    for name in names:
        Image.new("RGB", (16, 16)).save(name)
    real, asked = projecting.project, []

    def project(*arguments: Any, **options: Any) -> projecting.Projection:
        asked.append(arguments)
        if len(asked) > done:
            raise trouble
        return real(*arguments, **options)

    monkeypatch.setattr(projecting, "project", project)
    options = "--steps 1 --restarts 1 --out x.png --json x.json"
    assert command("project", run, *names, *options.split()) == code
    if not done:
        assert sorted(path.name for path in tmp_path.iterdir()) == names
        return
    assert [image["file"] for image in json.loads(Path("x.json").read_text())["images"]] == names[:2]
    assert pixels(Path("x.png")).shape == (2 * 18 + 2, 2 * 18 + 2, 3)
    assert "2 of 4 pictures are done; name other files for 2.png and those after it" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["arithmetic --a 1 --b 2 --c 3", "turn --from 1 --to 2", "project 0.png"])
def test_what_exists_is_left_alone(run: Path, tmp_path: Path, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.png").write_text("mine")
    name, *rest = words.split()
    assert command(name, run, *rest, "--out", tmp_path / "x.png") == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "x.png").read_text() == "mine"


def test_a_conditional_generator(photos: Path, tmp_path: Path) -> None:
    settings = dcgan.Config().replace(image_size=16, channels=3, width=4, latent_dim=8, conditional=True, classes=2)
    info = ModelInfo(settings.network, ("bright", "dark"))
    for cls in (Generator, Discriminator):
        torch.manual_seed(1)
        cls(cls.build(info.network), info).save_pretrained(tmp_path / "model")
    model = tmp_path / "model" / "generator.safetensors"
    options = f"--a 0,2,4 --b 2 --c 1,3,4 --out {tmp_path / 'a.png'} --json {tmp_path / 'a.json'}"
    assert command("arithmetic", model, *options.split()) == 0
    assert json.loads((tmp_path / "a.json").read_text())["label"] == 1
    picture = next((photos / "dark").iterdir())
    options = f"--class dark --steps 3 --out {tmp_path / 'p.png'} --json {tmp_path / 'p.json'} --features 0.1"
    assert command("project", tmp_path / "model", picture, *options.split()) == 0
    assert {one["label"] for one in json.loads((tmp_path / "p.json").read_text())["images"][0]["restarts"]} == {1}
    assert command("turn", model, *f"--from 0 --to 1 --out {tmp_path / 't.png'}".split()) == 0
