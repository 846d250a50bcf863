"""The figure of what D learned: its layout, its crops, its numbers; and `dcgan features inspect`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.cli import main
from dcgan.errors import InputError
from dcgan.features.guided import responses
from dcgan.features.learned import learned, parse_features, shown, window
from dcgan.images import to_float
from dcgan.pretrained import Discriminator


def floats(images):
    return to_float(torch.tensor(images).permute(0, 3, 1, 2))


def test_both_sides_hold_the_strongest_of_their_network(small_run):
    found = learned(small_run, layer=2, features=(5, 1), top=3, quiet=True)
    assert found.looked_at == 40
    network = Discriminator.from_pretrained(small_run, "cpu").network
    with torch.no_grad():
        maps = responses(network, floats(found.pack.images), 2)
    peaks = maps[:, [5, 1]].amax((2, 3)).T
    assert np.array_equal(found.trained.strongest.images, peaks.argsort(1, descending=True)[:, :3])
    assert not np.array_equal(found.untrained.strongest.responses, found.trained.strongest.responses)
    assert found.trained.gradients.shape == found.untrained.gradients.shape == (2, 3, 16, 16, 3)
    assert found.labels == ""


def test_the_picture_has_the_untrained_on_the_left_and_gradients_below_images(small_run):
    found = learned(small_run, features=(0, 3, 2), top=2, quiet=True)
    sheet = found.picture("image")
    tile, step = 48, 50  # of 16 pixels, three times as large
    assert sheet.shape == (6 * step + 2, 2 * (2 * step + 2) + 24, 3)
    for left, panel in ((0, found.untrained), (2 * step + 2 + 24, found.trained)):
        for f in range(3):
            for i in range(2):
                x, y = left + 2 + i * step, 2 + 2 * f * step
                image = found.pack.images[panel.strongest.images[f, i]]
                assert np.array_equal(sheet[y : y + tile : 3, x : x + tile : 3], image)
                gradient = sheet[y + step : y + step + tile : 3, x : x + tile : 3]
                assert np.array_equal(gradient, shown(panel.gradients[f, i]))


def test_receptive_fields_are_cut_out_where_they_are_small(small_run):
    first, last = (learned(small_run, layer=layer, features=(0,), top=1, quiet=True) for layer in (1, 2))
    assert first.crops("auto")
    assert not last.crops("auto")
    assert not first.crops("image")
    assert last.crops("field")
    row, column = first.trained.strongest.places[0, 0]
    image = first.pack.images[first.trained.strongest.images[0, 0]]
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    expected = padded[2 * row : 2 * row + 4, 2 * column : 2 * column + 4]
    x = (1 * 50 + 2) + 24 + 2
    assert np.array_equal(first.picture()[2 : 2 + 48 : 12, x : x + 48 : 12], expected)


def test_windows_beyond_the_edges():
    image = np.arange(12).reshape(3, 4, 1) + 1
    assert window(image, (-1, 2), (3, 3))[..., 0].tolist() == [[0, 0, 0], [3, 4, 0], [7, 8, 0]]
    assert window(image, (2, -2), (2, 3))[..., 0].tolist() == [[0, 0, 9], [0, 0, 0]]
    assert window(image, (0, 0), (3, 4)).tolist() == image.tolist()
    assert not window(image, (-9, 0), (3, 3)).any()
    assert not window(image, (9, 9), (3, 3)).any()


def test_gradients_are_shown_around_grey():
    gradient = np.array([[[0.0], [1e-3]], [[-2e-3], [5e-4]]], np.float32)
    assert shown(gradient)[..., 0].tolist() == [[128, 191], [0, 159]]
    assert (shown(np.zeros((2, 2, 1), np.float32)) == 128).all()


def test_a_conditional_network_is_told_each_images_class_or_one(class_run):
    own = learned(class_run, features=(0,), top=1, quiet=True)
    one = learned(class_run, features=(0,), top=1, label="dark", quiet=True)
    assert own.labels == "each image's own"
    assert one.labels == "class dark for all"
    network = Discriminator.from_pretrained(class_run, "cpu").network
    for found, labels in ((own, own.pack.labels), (one, np.ones(40, np.int64))):
        with torch.no_grad():
            maps = responses(network, floats(found.pack.images), 2, torch.from_numpy(labels))
        assert found.trained.strongest.responses[0, 0] == pytest.approx(maps[:, 0].max().item(), rel=1e-4)


def test_the_command_writes_picture_and_numbers(small_run, tmp_path, capsys):
    out, numbers = tmp_path / "new" / "a.png", tmp_path / "a.json"
    assert main(f"features inspect {small_run} --features 1-2 --top 4 --out {out} --json {numbers}".split()) == 0
    assert "convolution 2 (receptive fields of 10x10), the 4 strongest of 40 images" in capsys.readouterr().out
    found = learned(small_run, features=(1, 2), top=4, quiet=True)
    assert np.array_equal(np.asarray(Image.open(out)), found.picture())
    told = json.loads(numbers.read_text())
    assert told == found.to_dict()
    assert told["format"] == "dcgan-inspect-1"
    assert [entry["feature"] for entry in told["trained"]] == [1, 2]
    first = told["trained"][0]["strongest"][0]
    assert first["top_left"] == [4 * first["row"] - 3, 4 * first["column"] - 3]
    assert found.trained.strongest.responses[0, 0] == pytest.approx(first["response"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--layer 0", "layer: 0 is none of this discriminator's 2 convolutions (1 to 2)"),
        ("--layer 3", "layer: 3 is none"),
        ("--layer 1", "features: convolution 1 has 4 maps, 0 to 3; 0, 1, 2, 3, 4, 5 is not"),
        ("--features 0-9", "convolution 2 has 8 maps"),
        ("--features a", "no list of numbers"),
        ("--features 1,1", "names one twice"),
        ("--features 3-1", "names none"),
        ("--top 41", "the 41 strongest of 40 images"),
        ("--top 0", "the 0 strongest"),
        ("--images 3", "the 6 strongest of 3 images"),
        ("--images 41", "images: 41 is outside [1, 40]"),
        ("--class bright", "without classes"),
        ("--data nowhere", "no data at"),
        ("--out a.jpg", "a.jpg is no .png"),
    ],
)
def test_wrong_options(small_run, tmp_path, options, said, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["features", "inspect", str(small_run), "--out", "a.png", *options.split()]) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(small_run, tmp_path, capsys):
    (tmp_path / "a.json").write_text("mine")
    command = f"features inspect {small_run} --out {tmp_path / 'a.png'} --json {tmp_path / 'a.json'}"
    assert main(command.split()) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "a.json").read_text() == "mine"
    assert not (tmp_path / "a.png").exists()


def test_a_weights_file_wants_the_images_named(small_run, photos):
    file = small_run / "discriminator.safetensors"
    with pytest.raises(InputError, match="name the real images with --data"):
        learned(file, quiet=True)
    named, own = (learned(a, b, features=(0,), quiet=True) for a, b in ((file, str(photos)), (small_run, None)))
    assert named.to_dict()["trained"] == own.to_dict()["trained"]


def test_images_that_are_not_those_of_the_training_are_refused(small_run, tmp_path):
    import shutil

    other = tmp_path / "run"
    shutil.copytree(small_run, other)
    data = json.loads((other / "data.json").read_text())
    (other / "data.json").write_text(json.dumps(data | {"key": "another", "digest": "another"}))
    with pytest.raises(InputError, match="are not those it was trained on"):
        learned(other, quiet=True)


def test_lists_of_features():
    assert parse_features("0-5") == (0, 1, 2, 3, 4, 5)
    assert parse_features("7, 1,4-5") == (7, 1, 4, 5)
    for wrong in ("", "-3", "1-2-3", "1,", "٣", "9999999", "1.5"):
        with pytest.raises(InputError, match="features"):
            parse_features(wrong)
