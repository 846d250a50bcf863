from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import dcgan
from dcgan.config import DataConfig, NetworkConfig
from dcgan.data.pack import Pack
from dcgan.errors import InputError
from dcgan.evaluation.originals import Originals, originals
from dcgan.progress import Display

NETWORK = NetworkConfig(image_size="16", channels="3")
QUIET = Display(quiet=True)


def test_a_folder_has_no_test_split_but_can_be_given_one(
    small: Path, held_out: Path, packed: Pack, tmp_path: Path
) -> None:
    source = Originals(DataConfig(data=str(small)))
    found = source.splits(NETWORK, None, QUIET)
    assert found.train.key == packed.key
    assert found.test is None
    given = source.splits(NETWORK, held_out, QUIET)
    assert given.test is not None
    assert len(given.test.images) == 40
    copy = shutil.copytree(small, tmp_path / "copy", copy_function=shutil.copyfile)  # with other times
    for images in (small, copy):
        with pytest.raises(InputError, match="the very images"):
            source.splits(NETWORK, images, QUIET)


def test_images_are_prepared_as_the_settings_say(small: Path) -> None:
    network = NetworkConfig(image_size="20x24", channels="1")
    smooth, blocky = (
        Originals(DataConfig(data=str(small), resample=filter_)).packed(network, QUIET)
        for filter_ in ("lanczos", "nearest")
    )
    assert smooth.images.shape == (60, 20, 24, 1)
    assert not np.array_equal(smooth.images, blocky.images)


def test_digits_say_that_they_have_no_test_split(capsys: pytest.CaptureFixture[str]) -> None:
    found = Originals(DataConfig(data="digits")).splits(NETWORK, None, Display())
    assert found.test is None
    assert "no test split: the bundled digits have no held-out split" in capsys.readouterr().out


@pytest.mark.data
def test_named_sets_bring_theirs(data_root: Path) -> None:
    network = NetworkConfig(image_size="16", channels="1")
    found = Originals(DataConfig(data="mnist", data_root=str(data_root))).splits(network, None, QUIET)
    assert found.test is not None
    assert (len(found.train.images), len(found.test.images)) == (60_000, 10_000)


def test_a_run_knows_its_images_and_others_are_prepared_alike(small: Path, held_out: Path, tmp_path: Path) -> None:
    run = dcgan.train(
        small, out=tmp_path / "run", images=16, width=4, latent_dim=4, image_size=16, resample="nearest", quiet=True
    )
    own = originals(run.path, None)
    assert own.packed(NETWORK, QUIET).key == run.data["key"]
    other = originals(run.path, held_out)
    assert (other.settings.resample, other.run) == ("nearest", None)
    assert len(other.packed(NETWORK, QUIET).images) == 40


def test_a_run_whose_images_are_no_longer_there_is_refused(small: Path, tmp_path: Path) -> None:
    run = dcgan.train(small, out=tmp_path / "run", images=16, width=4, latent_dim=4, image_size=16, quiet=True)
    facts = json.loads((run.path / "data.json").read_text(encoding="utf-8"))
    for key, refused in (("another", True), (None, False)):  # imported networks name none
        changed = {name: value for name, value in facts.items() if name not in ("key", "digest")}
        changed |= {"key": key} if key else {}
        (run.path / "data.json").write_text(json.dumps(changed), encoding="utf-8")
        source = originals(run.path, None)
        if refused:
            with pytest.raises(InputError, match="are not those it was trained on; name with --data"):
                source.packed(NETWORK, QUIET)
        else:
            assert len(source.packed(NETWORK, QUIET).images) == 60


def test_what_a_run_has_left_out_is_left_out(small: Path, packed: Pack) -> None:
    found = Originals(DataConfig(data=str(small)), left_out=(0, 7)).splits(NETWORK, None, QUIET).train
    assert np.array_equal(found.images, np.delete(packed.images, [0, 7], 0))


def test_a_weights_file_alone_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not say what it was trained on; name the real images with --data"):
        originals(tmp_path / "generator.safetensors", None)
