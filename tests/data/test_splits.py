"""Training and test images side by side in one folder or archive."""

import zipfile

import pytest

from dcgan.config import DataConfig, NetworkConfig
from dcgan.data.sources import find_source
from dcgan.data.splits import chosen
from dcgan.errors import InputError
from dcgan.evaluation.originals import Originals
from dcgan.progress import Display
from tests.data.samples import png, values, write_folder, write_tar, write_zip
from tests.data.test_listings import KINDS, written

NAMES = ["train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "test/dog/4.png", "test/dog/5.png"]


@KINDS
@pytest.mark.parametrize("above", ["", "photos/"])
def test_train_and_test_are_no_classes(kind, above, tmp_path):
    where = written(kind, tmp_path, [above + name for name in NAMES])
    train, test = find_source(where), find_source(where, split="test")
    assert values(train) == {f"{above}train/cat/1.png": 0, f"{above}train/dog/2.png": 1}
    assert values(test) == {f"{above}test/cat/3.png": 2, f"{above}test/dog/4.png": 3, f"{above}test/dog/5.png": 4}
    assert train.class_names == test.class_names == ("cat", "dog")
    assert {item.name: item.label for item in test.items()}[f"{above}test/dog/5.png"] == 1
    assert train.fingerprint() != test.fingerprint()
    assert train.name == test.name == "pics"
    assert train.shared.endswith(", train: 2 images in 2 classes")
    assert test.shared.endswith(", test: 3 images in 2 classes")


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        (["Train", "Validation"], "Train", "Validation"),
        (["val", "test", "train"], "train", "test"),
        (["training", "testing"], "training", "testing"),
        (["train", "test", "cat"], "", ""),
        (["train", "cat"], "", ""),
        (["train", "training"], "", ""),
        (["test", "val"], "", ""),
        (["train"], "", ""),
        ([], "", ""),
    ],
)
def test_names_of_splits_are_so_only_together(names, train, test):
    assert (chosen(names, "train"), chosen(names, "test")) == (train, test)


def test_other_folders_beside_them_make_classes_of_all(tmp_path):
    source = find_source(write_folder(tmp_path / "pics", [*NAMES, "else/6.png"]))
    assert source.class_names == ("else", "test", "train")
    assert len(source) == 6


def test_archives_of_the_splits(tmp_path):
    write_zip(tmp_path / "Train.zip", ["cat/1.png", "dog/2.png"])
    write_tar(tmp_path / "test.tar.gz", ["cat/3.png", "dog/4.png"], "w:gz")
    (tmp_path / "README.txt").write_text("two archives")
    (tmp_path / ".train.zip").write_bytes(b"hidden")
    train, test = find_source(tmp_path), find_source(tmp_path, split="test")
    assert (sorted(values(train)), sorted(values(test))) == (["cat/1.png", "dog/2.png"], ["cat/3.png", "dog/4.png"])
    assert train.name == tmp_path.name.replace("_", "-")
    assert "Train.zip" in train.description


@pytest.mark.parametrize("also", ["train.tar", "more.zip"])
def test_archives_of_anything_else_are_not_guessed_at(also, tmp_path):
    write_folder(tmp_path, ["a.png"])
    for name in ("train.zip", "test.zip", also):
        (tmp_path / name).write_bytes(png())
    assert list(values(find_source(tmp_path))) == ["a.png"]


def test_a_model_is_judged_by_the_test_split_beside_its_images(tmp_path):
    write_folder(tmp_path / "photos", NAMES)
    network = NetworkConfig(image_size="32", channels="1")
    found = Originals(DataConfig(data=str(tmp_path / "photos"))).splits(network, None, Display(quiet=True))
    assert found.test is not None
    assert (len(found.train.images), len(found.test.images)) == (2, 3)
    named = Originals(DataConfig(data=str(tmp_path / "photos/train"))).splits(
        network, tmp_path / "photos", Display(quiet=True)
    )
    assert named.test is not None
    assert (len(named.train.images), len(named.test.images)) == (2, 3)


def test_a_broken_archive_is_named(tmp_path):
    (tmp_path / "train.zip").write_bytes(b"PK\3\4")
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        archive.writestr("a.png", png())
    with pytest.raises(InputError, match=r"train\.zip: File is not a zip"):
        find_source(tmp_path)


def test_a_folder_of_one_archive_says_how_to_give_it(tmp_path):
    write_zip(tmp_path / "train.zip", ["a.png"])
    with pytest.raises(InputError, match="an archive is given by its own name"):
        find_source(tmp_path)
