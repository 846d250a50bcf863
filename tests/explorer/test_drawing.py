"""What is drawn: the very images of `Generator.sample`, and of the package's walks, arithmetic and forgetting."""

from __future__ import annotations

import io
import shlex
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from dcgan.explorer.directions import principal_directions
from dcgan.explorer.opened import KEPT_FORGETTINGS, Opened
from dcgan.explorer.pictures import gif
from dcgan.features.boxes import Box, Boxes
from dcgan.features.forget import Samples, forget, without
from dcgan.latent.arithmetic import arithmetic
from dcgan.latent.concepts import by_numbers
from dcgan.latent.walk import walk
from dcgan.latents import latents
from dcgan.pretrained import Generator
from tests.explorer.conftest import KINDS, client_of, images_of
from tests.test_pretrained import off, trained

SIZE = (16, 20)
BOXES = (Box(2, 4, 6, 5, 8), Box(70, 8, 2, 6, 6))
FORGET = {
    "seed": 3,
    "boxes": [
        {"number": box.sample, "top": box.top, "left": box.left, "height": box.height, "width": box.width}
        for box in BOXES
    ],
}
NUMBERS = {"plain": 1, "classes": 2, "batch": 3, "uniform": 4}


def get(client, run, count, **query):
    answer = client.get(f"/api/runs/{run}/samples.png", params={"count": count, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return images_of(answer.content, count, SIZE)


def post(client, path, body, count, columns=None):
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return images_of(answer.content, count, SIZE, columns)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("truncation", [None, 0.7])
@pytest.mark.parametrize(("start", "count"), [(0, 25), (50, 100), (63, 2)])
def test_samples_are_those_of_the_generator(client, kind, truncation, start, count):
    options = {} if truncation is None else {"truncation": truncation}
    label = {"label": "dog"} if kind == "classes" and count == 100 else {}
    whole = trained(Generator, **KINDS[kind]).sample(start + count, 5, **options, **label)
    drawn = get(client, NUMBERS[kind], count, seed=5, start=start, **options, **label)
    assert off(drawn, whole[start:]) <= (1 if kind == "batch" else 0)
    again = get(client, NUMBERS[kind], count, seed=5, start=start, **options, **label)
    assert np.array_equal(again, drawn)


def test_far_numbers_are_drawn_as_soon_as_near_ones(client):
    start = 2**39
    generator = trained(Generator)
    assert np.array_equal(get(client, 1, 3, start=start), generator.draw(latents(3, 6, 0, start)))


def test_picks_are_samples_of_any_seed_class_and_truncation(client):
    picks = [
        {"seed": 3, "number": 70},
        {"seed": 4, "number": 1, "label": "cat", "truncation": 0.5},
        {"number": 5, "label": "7"},
    ]
    generator = trained(Generator, **KINDS["classes"])
    expected = [
        generator.sample(71, 3)[70],
        generator.sample(2, 4, label="cat", truncation=0.5)[1],
        generator.sample(6, label="7")[5],
    ]
    assert np.array_equal(post(client, "/api/runs/2/picked.png", {"picks": picks}, 3), expected)
    archive = zipfile.ZipFile(io.BytesIO(client.post("/api/runs/2/picked.zip", json={"picks": picks}).content))
    assert archive.namelist() == ["3-70.png", "4-1-class-cat-truncation-0.5.png", "0-5-class-7.png"]
    for name, image in zip(archive.namelist(), expected, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(archive.read(name)))), image)


def test_no_two_files_of_a_zip_have_one_name(client):
    labels = ["cat", "cat", "dog"]
    picks = [{"number": 1, "label": label} for label in labels]
    archive = zipfile.ZipFile(io.BytesIO(client.post("/api/runs/2/picked.zip", json={"picks": picks}).content))
    assert archive.namelist() == ["0-1-class-cat.png", "0-1-class-cat-no-2.png", "0-1-class-dog.png"]


@pytest.mark.parametrize("kind", ["plain", "uniform"])
@pytest.mark.parametrize("interpolation", ["spherical", "linear"])
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("truncation", [None, 0.5])
def test_a_walk_is_that_of_the_package(client, kind, interpolation, loop, truncation):
    how = {"interpolation": interpolation, "loop": loop, "truncation": truncation}
    expected = walk(trained(Generator, **KINDS[kind]), (3, 130, 17), seed=5, steps=6, **how).flat()
    through = [{"seed": 5, "number": number, "truncation": truncation} for number in (3, 130, 17)]
    body = {"through": through, "steps": 6, "interpolation": interpolation, "loop": loop}
    drawn = post(client, f"/api/runs/{NUMBERS[kind]}/walk.png", body, len(expected))
    assert np.array_equal(drawn, expected)
    movie = client.post(f"/api/runs/{NUMBERS[kind]}/walk.gif", json=body)
    assert movie.headers["content-type"] == "image/gif"
    frames = list(ImageSequence.Iterator(Image.open(io.BytesIO(movie.content))))
    assert len(frames) == len(expected) - loop
    assert frames[0].size == (160, 128)


def test_a_walk_between_classes_ends_at_both(client):
    picks = [{"number": 0, "label": "cat"}, {"number": 1, "label": "dog"}]
    drawn = post(client, "/api/runs/2/walk.png", {"through": picks, "steps": 5}, 5)
    ends = post(client, "/api/runs/2/picked.png", {"picks": picks}, 2)
    assert np.array_equal(drawn[[0, -1]], ends)


def test_a_walk_between_truncations_ends_at_both(client):
    picks = [{"number": 0, "truncation": 0.5}, {"number": 1}, {"number": 2}]
    drawn = post(client, "/api/runs/1/walk.png", {"through": picks, "steps": 5}, 9)
    assert np.array_equal(drawn[[0, 4, 8]], post(client, "/api/runs/1/picked.png", {"picks": picks}, 3))


def test_moves_add_directions_to_every_sample(client):
    generator = trained(Generator)
    picks = [{"number": 4}, {"number": 9}]
    own = {"start": [{"number": 0}, {"number": 1}], "end": [{"number": 2}], "amount": -0.5}
    moves = [{}, {"principal": {"0": 2.0, "3": -1}}, {"own": [own, own]}]
    drawn = post(client, "/api/runs/1/slide.png", {"picks": picks, "moves": moves}, 6, columns=3)
    z, vectors = latents(10, 6, 0), principal_directions(generator).vectors
    steps = torch.stack([torch.zeros(6), 2 * vectors[0] - vectors[3], -(z[2] - (z[0] + z[1]) / 2)])
    expected = generator.draw(torch.cat([z[4] + steps, z[9] + steps]))
    assert off(drawn, expected) <= 1  # sums in another order
    assert np.array_equal(drawn[[0, 3]], generator.sample(10)[[4, 9]])
    assert not np.array_equal(drawn[1], drawn[0])


@pytest.mark.parametrize("kind", ["plain", "classes"])
def test_arithmetic_is_that_of_the_package(client, kind):
    generator = trained(Generator, **KINDS[kind])
    groups = {"a": (0, 5), "b": (1, 2), "c": (3, 4, 7)}
    body = {name: [{"seed": 2, "number": number} for number in numbers] for name, numbers in groups.items()}
    drawn = post(client, f"/api/runs/{NUMBERS[kind]}/arithmetic.png", {**body, "seed": 8, "noise": 0.5}, 16)
    found = arithmetic(generator, *(by_numbers(generator, n, 2) for n in groups.values()), noise=0.5, seed=8)
    expected = np.concatenate([found.images, found.means, found.pixel_means, found.pixels[None]])
    assert np.array_equal(drawn, expected)


@pytest.mark.parametrize("kind", ["plain", "classes"])
def test_forgetting_is_that_of_the_package_and_can_be_kept(weights, tmp_path, kind):
    folder = tmp_path / "someone's run"
    generator = trained(Generator, **KINDS[kind])
    generator.save_pretrained(folder)
    boxes = Boxes(3, BOXES)
    found = forget(generator, Samples((2, 70), 3), boxes.masks)
    with client_of(folder) as client:
        said = client.post("/api/runs/0/forget", json=FORGET).json()
        assert tuple(said["maps"]) == found.maps
        assert (said["of"], said["places"], said["images"]) == (len(found.weights), found.places, 2)
        assert said["accuracy"] == found.accuracy
        edited = without(generator, found)
        drawn = get(client, 0, 30, seed=9, edit=said["id"])
        assert np.array_equal(drawn, edited.sample(30, 9))
        assert not np.array_equal(drawn, generator.sample(30, 9))
        path = f"/api/runs/0/forget/{said['id']}/save"
        kept = folder / "edited" / "no-mouth.safetensors"
        said = client.post(path, json={"name": "no-mouth"}).json()
        assert said["file"] == "edited/no-mouth.safetensors"
        assert shlex.split(said["given"]) == [str(kept)]
        before = kept.read_bytes()
        refused = client.post(path, json={"name": "no-mouth"})
        assert refused.status_code == 422
        assert "exists already" in refused.json()["detail"]
        assert kept.read_bytes() == before
        for name in ("../x", "a/b", "", "A", ".x", "x" * 41, "x\n"):
            assert client.post(path, json={"name": name}).status_code == 422
    back = Generator.from_pretrained(kept, "cpu")
    assert np.array_equal(back.sample(30, 9), edited.sample(30, 9))
    assert back.info.trained["forgot"] == [{"scale": 2, "maps": list(found.maps)}]
    assert [path.name for path in (folder / "edited").iterdir()] == ["no-mouth.safetensors"]


def test_maps_and_layer_can_be_chosen(client):
    box = {"number": 0, "top": 4, "left": 4, "height": 6, "width": 8}
    said = client.post("/api/runs/1/forget", json={"boxes": [box], "scale": 4, "maps": 1}).json()
    assert len(said["maps"]) == 1
    assert said["of"] == 8


def test_a_generator_that_has_learned_is_loaded_anew(weights, tmp_path):
    first, second = trained(Generator), trained(Generator, latent_dim=7)
    first.save_pretrained(tmp_path)
    with client_of(tmp_path) as client:
        assert np.array_equal(get(client, 0, 3), first.sample(3))
        edit = client.post("/api/runs/0/forget", json=FORGET).json()["id"]
        second.save_pretrained(tmp_path)
        assert np.array_equal(get(client, 0, 3), second.sample(3))
        gone = client.get("/api/runs/0/samples.png", params={"edit": edit})
        assert gone.status_code == 422
        assert "no longer here" in gone.json()["detail"]


def test_what_is_kept_is_bounded(weights, monkeypatch):
    monkeypatch.setattr("dcgan.explorer.opened.KEPT_BYTES", 3 * 64 * 16 * 20 * 3)
    opened = Opened(weights["plain"], "cpu")
    for seed in range(10):
        opened.samples(0, 2, seed)
    assert len(opened.load().blocks) == 3
    found = forget(opened.generator, Samples((2, 70), 3), Boxes(3, BOXES).masks)
    names = [opened.keep(found) for _ in range(KEPT_FORGETTINGS + 5)]
    assert list(opened.load().forgettings) == names[5:]
    for name in names[5:12]:
        opened.samples(0, 2, 0, edit=name)
    assert len(opened.load().edited) == 3


def test_a_gif_is_enlarged_by_whole_numbers():
    frames = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.full((3, 50, 60, 1), 100, np.uint8)
    movie = Image.open(io.BytesIO(gif(frames)))
    assert movie.size == (180, 150)
    assert [np.unique(np.asarray(frame.convert("L"))).tolist() for frame in ImageSequence.Iterator(movie)] == [
        [0],
        [100],
        [200],
    ]
