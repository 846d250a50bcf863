"""The nearest training images, against all distances in plain numpy; and what is said where there are none."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from dcgan.errors import InputError
from dcgan.explorer import honest
from dcgan.explorer.honest import looked_at, training_images, usual_distance
from dcgan.pretrained import Generator
from tests.explorer.conftest import client_of, images_of


def distances(queries, references):
    gap = queries[:, None].astype(np.float64) - references[None]
    return np.sqrt(np.square(gap).reshape(len(queries), len(references), -1).sum(-1)) / 255


def test_neighbours_are_those_of_all_distances(client, finished):
    pack = training_images(finished, (16, 16, 3))
    drawn = Generator.from_pretrained(finished, "cpu").sample(9, 3)[[1, 8]]
    picks = [{"seed": 3, "number": 1}, {"seed": 3, "number": 8}]
    said = client.post("/api/runs/0/neighbours", json={"picks": picks, "k": 3}).json()
    assert (said["found"], said["images"], said["of"]) == (True, 40, 40)
    every = distances(drawn, pack.images)
    assert pack.labels is not None
    nearest = np.argsort(every, axis=1, kind="stable")[:, :3]
    for row in range(2):
        found = said["neighbours"][row]
        assert [one["number"] for one in found] == nearest[row].tolist()
        np.testing.assert_allclose([one["distance"] for one in found], every[row, nearest[row]])
        assert [one["label"] for one in found] == [("bright", "dark")[pack.labels[i]] for i in nearest[row]]
    picture = images_of(base64.b64decode(said["picture"]), 8, (16, 16), columns=4).reshape(2, 4, 16, 16, 3)
    assert np.array_equal(picture[:, 0], drawn)
    assert np.array_equal(picture[:, 1:], pack.images[nearest])
    between = distances(np.asarray(pack.images), pack.images)
    np.fill_diagonal(between, np.inf)
    assert said["usual"] == pytest.approx(np.median(between.min(1)))


def test_copies_are_usual_where_the_set_has_them(finished):
    from dataclasses import replace

    pack = training_images(finished, (16, 16, 3))
    assert usual_distance(pack) > 0
    assert usual_distance(replace(pack, images=np.repeat(pack.images[:20], 2, axis=0))) == 0
    assert usual_distance(replace(pack, images=pack.images[:1])) == 0


def test_of_very_many_only_so_many_are_compared_and_it_says_so(finished, monkeypatch):
    monkeypatch.setattr(honest, "MOST_BYTES", 10 * 16 * 16 * 3)
    assert looked_at(training_images(finished, (16, 16, 3))) == 10
    with client_of(finished) as client:
        said = client.post("/api/runs/0/neighbours", json={"picks": [{"number": 0}], "k": 8}).json()
    assert (said["images"], said["of"]) == (10, 40)
    assert all(one["number"] < 10 for one in said["neighbours"][0])


@pytest.mark.parametrize("key", [None, 7, "../../etc", "0" * 32])
def test_without_the_packed_images_it_says_why(run, key):
    facts = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps({**facts, "key": key, "digest": None}))
    with client_of(run) as client:
        said = client.post("/api/runs/0/neighbours", json={"picks": [{"number": 0}]}).json()
    assert not said["found"]
    assert ("not packed" if key == "0" * 32 else "does not say") in said["reason"]


def test_a_pack_of_a_copy_with_other_times_does_as_well(run, finished):
    facts = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps({**facts, "key": "0" * 32}))
    pack, same = training_images(run, (16, 16, 3)), training_images(finished, (16, 16, 3))
    assert np.array_equal(pack.images, same.images)


def test_weights_and_other_shapes_have_no_training_images(client, finished):
    said = client.post("/api/runs/1/neighbours", json={"picks": [{"number": 0}]}).json()
    assert "data.json" in said["reason"]
    with pytest.raises(InputError, match="weights file"):
        training_images(finished / "generator.safetensors", (16, 16, 3))
    with pytest.raises(InputError, match="another shape"):
        training_images(finished, (16, 20, 3))
