"""The authors' tensors become networks that compute what their code computes, and wrong files are named."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan.errors import InputError
from dcgan.export import authors as importing
from dcgan.export.authors import flip_kernels, import_authors
from dcgan.export.hub import push
from dcgan.pretrained import Discriminator, Generator
from dcgan.report.page import page
from dcgan.run import Run
from tests.export import authors
from tests.networks.plain import close, noise


def same_networks(folder, run):
    """Ours against theirs, written out, in float64."""
    generator, discriminator = (cls.from_pretrained(run, "cpu").double() for cls in (Generator, Discriminator))
    z = noise(8, generator.info.network.latent_dim)
    drawn = authors.gen(folder, z)
    close(generator(z), drawn)
    assert drawn.std() > 0.05
    for images in (drawn.detach(), noise(8, 3, 32, 32).clamp(-1, 1)):
        close(discriminator(images), authors.discrim(folder, images))


@pytest.mark.parametrize(("kernel", "preset"), [(5, "paper-svhn"), (3, "paper-imagenet32")])
def test_imported_networks_compute_what_the_authors_code_does(tmp_path, kernel, preset):
    folder = authors.write(tmp_path / "theirs", kernel)
    imported = import_authors(folder, tmp_path / "run")
    same_networks(folder, imported.run.path)
    run = Run.open(tmp_path / "run")
    assert run.config == imported.config
    assert (run.config.preset, run.config.network.width, run.config.network.latent_dim) == (preset, 4, 6)
    assert run.config.network.norm_stats == "batch"
    assert run.config.data.data == ("svhn" if kernel == 5 else "")
    info = Generator.from_pretrained(tmp_path / "run").info
    assert info.network == run.config.network
    assert "imported" in info.trained["data"]
    assert {path.name for path in run.path.iterdir() if path.is_file()} == {
        *("config.yaml", "data.json", "model.json", "generator.safetensors", "discriminator.safetensors")
    }


def test_what_others_read_of_it_gives_the_import_and_no_training(tmp_path):
    run = import_authors(authors.write(tmp_path / "theirs", 5), tmp_path / "run").run
    push(run.path, "me/svhn", folder=tmp_path / "card")
    for text in ((tmp_path / "card/README.md").read_text("utf-8"), page(run)):
        assert "dcgan import-authors FOLDER --out RUN" in text
        assert "dcgan train" not in text
        assert "bit for bit" not in text
    assert "\nlicense: mit\n" in (tmp_path / "card/README.md").read_text("utf-8")
    assert "Of these weights: mit" in (tmp_path / "card/README.md").read_text("utf-8")


def test_the_outputs_are_means_over_batches_of_64(tmp_path):
    folder = authors.write(tmp_path / "theirs", width=2)
    imported = import_authors(folder, tmp_path / "run")
    discriminator = Discriminator.from_pretrained(tmp_path / "run", "cpu")
    drawn = torch.from_numpy(Generator.from_pretrained(tmp_path / "run", "cpu").sample(1024)).permute(0, 3, 1, 2)
    with torch.no_grad():
        own = torch.cat([discriminator(piece / 127.5 - 1).sigmoid() for piece in drawn.split(64)]).mean().item()
    assert imported.outputs.own == pytest.approx(own, abs=0.005)
    mirrored = authors.write(tmp_path / "mirrored", width=2)
    for path in mirrored.glob("discrim_*.npy"):
        array = np.load(path)
        np.save(path, array[:, :, ::-1, ::-1] if array.ndim == 4 else array)
    other = import_authors(mirrored, tmp_path / "other")
    assert other.outputs == imported.unflipped
    assert other.unflipped == imported.outputs
    assert abs(other.outputs.own - imported.outputs.own) + abs(other.outputs.noise - imported.outputs.noise) > 1e-4


def test_an_interrupted_import_leaves_nothing_and_can_be_repeated(tmp_path, monkeypatch):
    folder = authors.write(tmp_path / "theirs")

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(importing, "_outputs", interrupt)
        with pytest.raises(KeyboardInterrupt):
            import_authors(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    import_authors(folder, tmp_path / "run")


def test_the_names_in_the_authors_repository(tmp_path):
    authors.write(tmp_path / "theirs")
    folder = authors.write(tmp_path / "named", name="200_{side}_params.jl_{number:02d}.npy")
    (folder / "200_gen_params.jl").write_bytes(pickle.dumps([1]))  # theirs has a pickle of the list: never opened
    runs = [import_authors(tmp_path / name, tmp_path / f"run-{name}").run.path for name in ("theirs", "named")]
    one, other = (Generator.from_pretrained(run, "cpu").sample(2) for run in runs)
    assert np.array_equal(one, other)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The folder of the released weights, beside the data sets, and what is imported from it."""
    folder = Path(os.environ["DCGAN_DATA"]).resolve().parent / "reference" / "svhn-authors-weights"
    if not folder.is_dir():
        pytest.skip("needs the authors' weights in reference/svhn-authors-weights beside $DCGAN_DATA")
    return folder, import_authors(folder, tmp_path_factory.mktemp("released") / "run")


@pytest.mark.data
def test_the_released_weights(released):
    folder, imported = released
    same_networks(folder, imported.run.path)
    # D has won: it takes its own samples for drawings. Without the flip it takes anything for real, and noise too.
    assert imported.outputs.own < 0.05
    assert imported.outputs.noise < 0.001
    assert imported.unflipped.own > 0.85
    assert imported.unflipped.noise > 0.5


@pytest.mark.data
def test_the_flip_is_what_makes_d_see_house_numbers_the_right_way_up(released):
    """D likes the samples better than the same ones upside down; with its kernels unflipped it cannot tell."""
    run = released[1].run.path
    discriminator = Discriminator.from_pretrained(run, "cpu")
    images = torch.from_numpy(Generator.from_pretrained(run, "cpu").sample(512)).permute(0, 3, 1, 2) / 127.5 - 1

    def upright():
        with torch.no_grad():
            wins = [discriminator(piece) > discriminator(piece.flip(2)) for piece in images.split(64)]
        return torch.cat(wins).float().mean().item()

    assert upright() > 0.8
    flip_kernels(discriminator)
    assert upright() < 0.55


def refused(tmp_path, folder, *texts, out=None):
    """The import is refused with all of these in the message, and writes nothing."""
    with pytest.raises(InputError) as caught:
        import_authors(folder, out or tmp_path / "run")
    for text in texts:
        assert text in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def folder(tmp_path):
    return authors.write(tmp_path / "theirs", width=1)


@pytest.mark.parametrize("name", ["gen_01", "gen_07", "gen_10", "discrim_01", "discrim_08"])
def test_a_missing_tensor_is_named(tmp_path, folder, name):
    (folder / f"{name}.npy").unlink()
    refused(tmp_path, folder, f"no {name}.npy in it", str(folder))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gen_11", "one tensor too many; the net of paper-svhn has 10"),
        ("discrim_00", "one tensor too many; the net of paper-svhn has 8"),
        ("moments", "not one of the tensors"),
        ("gen_1", "not one of the tensors"),
        ("200_gen_params.jl_02", "is the same tensor as"),
    ],
)
def test_a_superfluous_array_is_named(tmp_path, folder, name, text):
    np.save(folder / f"{name}.npy", np.zeros(4, np.float32))
    refused(tmp_path, folder, text)


@pytest.mark.parametrize(
    ("name", "shape", "text"),
    [
        ("gen_04", (4, 2, 5, 4), "has shape (4, 2, 5, 4); expected (4, 2, 5, 5)"),
        ("gen_04", (2, 4, 5, 5), "expected (4, 2, 5, 5)"),
        ("gen_01", (6, 65), "has shape (6, 65); expected (6, 64)"),
        ("gen_01", (6,), "expected a matrix"),
        ("gen_01", (5000, 64), "latent_dim: 5000 is outside"),
        ("gen_03", (1, 64), "expected (64,)"),
        ("discrim_08", (64,), "expected (64, 1)"),
        ("discrim_01", (1, 3, 4, 4), "expected kernels (maps, channels, 5, 5) of the SVHN net or"),
        ("discrim_01", (1, 2, 5, 5), "expected kernels"),
        ("discrim_01", (), "expected kernels"),
        ("discrim_01", (2, 3, 5, 5), "gen_01.npy: has shape (6, 64); expected (6, 128)"),
    ],
)
def test_a_wrong_shape_is_named_with_the_right_one(tmp_path, folder, name, shape, text):
    np.save(folder / f"{name}.npy", np.zeros(shape, np.float32))
    refused(tmp_path, folder, text)


@pytest.mark.parametrize("kind", [np.int64, np.bool_, "S4", np.complex64])
def test_other_values_than_floats_are_refused(tmp_path, folder, kind):
    np.save(folder / "gen_03.npy", np.zeros(64, kind))
    refused(tmp_path, folder, "gen_03.npy: holds", "expected float32")


def test_objects_are_refused_and_never_loaded(tmp_path, folder):
    class Bomb:
        def __reduce__(self):
            return (tmp_path / "run").mkdir, ()

    np.save(folder / "gen_03.npy", np.array([Bomb()] * 64, dtype=object), allow_pickle=True)
    refused(tmp_path, folder, "gen_03.npy: holds Python objects, a pickle, which is never loaded")
    (folder / "gen_03.npy").write_bytes(pickle.dumps(Bomb()))
    refused(tmp_path, folder, "gen_03.npy: damaged or not a .npy file")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(tmp_path, folder, value):
    np.save(folder / "gen_03.npy", np.full(64, value, np.float32))
    refused(tmp_path, folder, "gen_03.npy: holds numbers that are NaN or infinite")


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path, folder):
    with (folder / "gen_01.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (6, 64)})
        file.write(b"\0" * 99)
    refused(tmp_path, folder, "gen_01.npy: damaged: 99 bytes")
    with (folder / "gen_01.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (6, 10**15)})
    refused(tmp_path, folder, "gen_01.npy: damaged: 0 bytes")


@pytest.mark.filterwarnings("ignore:Reading `.npy`")  # numpy's, of headers that look like those of Python 2
def test_damaged_headers(tmp_path, folder):
    path = folder / "gen_03.npy"
    content = path.read_bytes()
    for length in (0, 5, 6, 8, 20, 127):
        path.write_bytes(content[:length])
        refused(tmp_path, folder, "gen_03.npy: damaged")
    passed = 0
    for position in range(0, 128, 2):
        path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        try:
            import_authors(folder, tmp_path / f"run-{position}")
        except InputError as error:
            named = str(path) in str(error)
        else:
            passed, named = passed + 1, True  # a blank of the padding, say, is another blank now
        assert named
    assert passed < 8


def test_other_byte_orders_and_float64_are_read(tmp_path, folder):
    wanted = Generator.from_pretrained(import_authors(folder, tmp_path / "a").run.path, "cpu").sample(1)
    for number, kind in enumerate((">f4", "<f8", ">f8"), 1):
        path = folder / f"gen_{number:02d}.npy"
        np.save(path, np.asfortranarray(np.load(path)).astype(kind))
    assert np.array_equal(Generator.from_pretrained(import_authors(folder, tmp_path / "b").run.path).sample(1), wanted)


def test_folders_that_are_none(tmp_path, folder):
    refused(tmp_path, tmp_path / "nothing", "no such folder", "gen_01.npy")
    refused(tmp_path, folder / "gen_01.npy", "no such folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path, tmp_path / "empty", "no gen_01.npy in it")


def test_what_exists_is_left_alone(tmp_path, folder):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("mine")
    refused(tmp_path, folder, "exists already", out=tmp_path / "mine")
    refused(tmp_path, folder, "exists already", out=tmp_path / "mine" / "precious")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["precious"]
