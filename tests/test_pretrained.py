"""Saved networks: exact round trips, images by number, and every way a file can be wrong."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dcgan.config import Config
from dcgan.errors import InputError
from dcgan.files import read_tensors
from dcgan.images import to_array
from dcgan.latents import BLOCK, latents
from dcgan.pretrained import Discriminator, Generator, ModelInfo, class_labels
from dcgan.run import Run

NAMES = ("cat", "dog", "7")


def info(**settings):
    defaults = {"image_size": "16x20", "channels": 3, "width": 4, "latent_dim": 6}
    network = Config().replace(**defaults | settings).network
    return ModelInfo(network, NAMES if network.classes else (), {"preset": "fast", "images": 640})


def trained(cls, **settings):
    """A network whose running statistics are no longer the initial ones."""
    torch.manual_seed(0)
    described = info(**settings)
    network = cls.build(described.network)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.add_(torch.rand_like(tensor) if "running_var" in name else torch.randn_like(tensor) * 0.3)
    return cls(network, described).eval()


CLASSES = {"conditional": True, "classes": 3}


@pytest.fixture
def generator():
    return trained(Generator)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        CLASSES,
        {"norm_stats": "batch", "projection_norm": "unit"},
        {**CLASSES, "condition": "concat", "upsampling": "resize"},
        {**CLASSES, "discriminator_norm": "spectral"},
    ],
)
@pytest.mark.parametrize("cls", [Generator, Discriminator])
def test_a_saved_network_comes_back_exactly(tmp_path, cls, settings):
    network = trained(cls, **settings)
    network.save_pretrained(tmp_path / "new" / "folder")
    back = cls.from_pretrained(tmp_path / "new" / "folder", device="cpu")
    assert back.info == network.info
    assert not back.training
    assert back.state_dict().keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
    assert {p.name for p in (tmp_path / "new" / "folder").iterdir()} == {cls.filename, "model.json"}


@pytest.mark.parametrize("family", ["blog", "imagenet32", "mnist"])
def test_every_family_is_saved_and_loaded(tmp_path, family):
    settings = {"family": family, "image_size": 16, "channels": 1} | (CLASSES if family == "mnist" else {})
    network = trained(Generator, **settings)
    network.save_pretrained(tmp_path)
    assert np.array_equal(Generator.from_pretrained(tmp_path, "cpu").sample(3), network.sample(3))


def test_one_weights_file_alone_is_enough(tmp_path, generator):
    generator.save_pretrained(tmp_path)
    alone = (tmp_path / "generator.safetensors").rename(tmp_path / "somewhere.else")
    (tmp_path / "model.json").unlink()
    assert np.array_equal(Generator.from_pretrained(str(alone), "cpu").sample(3), generator.sample(3))


@pytest.mark.parametrize("settings", [{}, CLASSES, {"norm_stats": "batch"}, {"norm_stats": "batch", **CLASSES}])
def test_an_image_is_the_same_however_many_are_drawn(settings):
    generator = trained(Generator, **settings)
    most = generator.sample(130, seed=5)
    assert most.shape == (130, 16, 20, 3)
    assert most.dtype == np.uint8
    assert np.array_equal(generator.sample(1, seed=5), most[:1])
    assert np.array_equal(generator.sample(25, seed=5), most[:25])
    assert len(np.unique(most.reshape(130, -1), axis=0)) == 130


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_image_is_the_same_however_many_threads_draw(precision):
    generator = trained(Generator, **CLASSES)
    alone = generator.sample(200, seed=5, precision=precision)
    torch.set_num_threads(3)
    try:
        together = generator.sample(200, seed=5, precision=precision)
    finally:
        torch.set_num_threads(1)
    assert np.array_equal(alone, together)


def test_sample_draws_the_latents_of_its_numbers(generator):
    z = latents(BLOCK, 6, seed=5, truncation=0.7)
    with torch.inference_mode():
        expected = to_array(generator(z))[:9]
    drawn = generator.sample(9, seed=5, truncation=0.7)
    assert np.abs(drawn.astype(int) - expected).max() <= 1  # norms are folded in, which rounds otherwise
    assert not np.array_equal(generator.sample(9, seed=5), expected)
    assert not np.array_equal(generator.sample(9, seed=6, truncation=0.7), expected)


def test_sample_sees_weights_that_have_changed(generator):
    before = generator.sample(3)
    assert np.array_equal(generator.sample(3), before)
    with torch.no_grad():
        generator.network.to_image.weight.mul_(0)
    assert (generator.sample(3) == 128).all()
    assert all("_ready" not in name for name in generator.state_dict())


@pytest.mark.parametrize("settings", [{}, CLASSES, {"norm_stats": "batch"}])
def test_bfloat16_draws_the_same_images(monkeypatch, settings):
    generator = trained(Generator, **settings)
    exact, rounded = generator.sample(70, seed=5), generator.sample(70, seed=5, precision="bf16")
    off = np.abs(exact.astype(int) - rounded)
    assert 0 < off.mean() < 3
    assert np.array_equal(generator.sample(3, seed=5, precision="bf16"), rounded[:3])
    assert np.array_equal(generator.sample(70, seed=5), exact)
    for fast, wanted in ((True, rounded), (False, exact)):
        monkeypatch.setattr("dcgan.device.has_fast_bf16", lambda device, fast=fast: fast)
        assert np.array_equal(generator.sample(70, seed=5, precision="auto"), wanted)


def test_sample_leaves_the_global_noise_alone(generator):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    generator.sample(3)
    assert torch.equal(torch.rand(3), expected)


BATCH = {"norm_stats": "batch", "projection_norm": "unit", "norm_eps": 1e-8}


def off(one, other):
    return np.abs(one.astype(int) - other).max()


@pytest.mark.parametrize("settings", [{}, CLASSES])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_given_latents_are_drawn_as_sample_draws_them(settings, precision):
    generator = trained(Generator, **settings)
    z, labels = latents(130, 6, seed=5), class_labels(generator.info.network.classes, 130)
    wanted = generator.sample(130, seed=5, precision=precision)
    assert np.array_equal(generator.draw(z, labels, precision), wanted)
    for rows in ([7], [129, 3, 64], list(range(100, 130))):
        assert np.array_equal(
            generator.draw(z[rows], None if labels is None else labels[rows], precision), wanted[rows]
        )


@pytest.mark.parametrize("settings", [BATCH, BATCH | CLASSES, BATCH | {"family": "mnist", **CLASSES}])
def test_with_batch_statistics_an_image_is_drawn_in_the_company_of_its_block(settings):
    generator = trained(Generator, **settings)
    wanted, z = generator.sample(130, seed=5), latents(130, 6, seed=5)
    labels = class_labels(generator.info.network.classes, 130)
    for block in (0, 1):
        rows = list(range(64 * block, 64 * block + 64))
        own = generator.statistics(5, block)
        assert off(generator.draw(z, labels, statistics=own)[rows], wanted[rows]) <= 1
        one = generator.draw(z[rows[3:4]], None if labels is None else labels[rows[3:4]], statistics=own)
        assert np.array_equal(one[0], generator.draw(z, labels, statistics=own)[rows[3]])
    other = generator.draw(z, labels)  # the company of another seed
    assert off(other[:64], wanted[:64]) > 1
    assert np.array_equal(generator.draw(z[9:10], None if labels is None else labels[9:10]), other[9:10])
    first = class_labels(generator.info.network.classes, 64)
    assert off(generator.draw(latents(64, 6, 0), first), generator.sample(64)) <= 1


def test_the_company_of_one_class():
    generator = trained(Generator, **BATCH, **CLASSES)
    z, labels, company = latents(3, 6, 2, truncation=0.5), torch.ones(3).long(), generator.statistics(2, 0, "dog", 0.5)
    dogs = generator.draw(z, labels, statistics=company)
    assert off(dogs, generator.sample(3, 2, label="dog", truncation=0.5)) <= 1


def test_statistics_on_the_way_to_others():
    generator = trained(Generator, **BATCH)
    z, (a, b) = latents(2, 6, 3), (generator.statistics(0), generator.statistics(1))
    assert a is not None
    for share, end in ((0.0, a), (1.0, b)):
        assert np.array_equal(generator.draw(z, statistics=a.towards(b, share)), generator.draw(z, statistics=end))
    half = a.towards(b, 0.5).values["blocks.0.1"]
    assert torch.allclose(half[1], (a.values["blocks.0.1"][1] + b.values["blocks.0.1"][1]) / 2)


@pytest.mark.parametrize("settings", [{}, BATCH])
def test_a_network_alone_is_differentiable_and_its_images_are_independent(settings):
    generator = trained(Generator, **settings)
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    z = latents(5, 6, 1).requires_grad_()
    network = generator.alone()
    images = network(z)
    (gradient,) = torch.autograd.grad(images[2].sum(), z)
    assert gradient[2].any()
    assert not gradient[[0, 1, 3, 4]].any()
    assert off(to_array(images.detach()), generator.draw(z.detach())) <= 1
    assert generator.state_dict().keys() == before.keys()  # and nothing of it is left in the network itself
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())
    assert (generator.statistics() is None) == (settings == {})


def test_draw_sees_weights_that_have_changed():
    generator = trained(Generator, **BATCH)
    before = generator.draw(latents(3, 6, 0))
    with torch.no_grad():
        generator.network.project.norm.weight.mul_(2)
    assert not np.array_equal(generator.draw(latents(3, 6, 0)), before)


def test_stream_is_sample_in_pieces(generator):
    pieces = list(generator.stream(130, seed=2))
    assert [len(piece) for piece in pieces] == [64, 64, 2]
    assert np.array_equal(np.concatenate(pieces), generator.sample(130, seed=2))


@pytest.mark.parametrize(("label", "number"), [("dog", 1), (1, 1), ("1", 1), ("7", 2)])
def test_a_class_by_name_or_number(label, number):
    generator = trained(Generator, **CLASSES)
    with torch.inference_mode():
        expected = to_array(generator(latents(BLOCK, 6, 0), torch.full((BLOCK,), number)))
    assert np.array_equal(generator.sample(5, label=label), expected[:5])


def numbered():
    """A generator of classes whose names are numbers, and none its own."""
    generator = trained(Generator, **CLASSES)
    generator.info = ModelInfo(generator.info.network, ("1", "10", "2"))
    return generator


def test_a_number_is_no_name():
    generator = numbered()
    assert [generator.class_index(name) for name in ("1", "10", "2", "0")] == [0, 1, 2, 0]
    assert [generator.class_index(number) for number in range(3)] == [0, 1, 2]
    each = trained(Generator, **CLASSES)
    for number, name in enumerate(("1", "10", "2")):
        expected = each.sample(5, label=("cat", "dog", "7")[number])
        assert np.array_equal(generator.sample(5, label=name), expected)
        assert np.array_equal(generator.sample(5, label=number), expected)


def test_without_a_class_all_come_in_turn():
    generator = trained(Generator, **CLASSES)
    every = generator.sample(70)
    for i in range(70):
        if i in (0, 1, 2, 63, 64, 65, 69):
            assert np.array_equal(generator.sample(i + 1, label=i % 3)[i], every[i])


def test_class_labels():
    assert class_labels(0, 5) is None
    labels = class_labels(3, 4, start=64)
    assert labels is not None
    assert labels.tolist() == [1, 2, 0, 1]
    fixed = class_labels(3, 2, label=2)
    assert fixed is not None
    assert fixed.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("settings", "arguments", "text"),
    [
        (CLASSES, {"label": "dgo"}, "no class 'dgo'; did you mean 'dog'? (there are: cat, dog, 7)"),
        (CLASSES, {"label": 3}, "no class 3 (there are: cat, dog, 7)"),
        (CLASSES, {"label": 7}, "no class 7; did you mean '7'? (there are: cat, dog, 7)"),
        (CLASSES, {"label": -1}, "no class -1"),
        (CLASSES, {"label": "²"}, "no class '²'"),
        ({}, {"label": 0}, "without classes"),
        ({}, {"n": 0}, "at least 1"),
        ({}, {"n": -3}, "at least 1"),
        ({}, {"seed": -1}, "seed: -1 is outside"),
        ({}, {"seed": 2**63}, "seed: 9223372036854775808 is outside"),
        ({}, {"truncation": 0.0}, "truncation"),
        ({}, {"truncation": float("nan")}, "truncation"),
    ],
)
def test_senseless_requests_are_refused(settings, arguments, text):
    with pytest.raises(InputError) as caught:
        trained(Generator, **settings).sample(**arguments)
    assert text in str(caught.value)


def test_unnamed_classes_are_listed_by_number():
    generator = trained(Generator, **CLASSES)
    generator.info = ModelInfo(generator.info.network)
    with pytest.raises(InputError, match="there are: 0 to 2"):
        generator.sample(label=3)


@pytest.mark.parametrize("shape", [(6,), (2, 7), (2, 6, 1), (0, 6)])
@pytest.mark.parametrize("how", ["__call__", "draw"])
def test_a_latent_of_the_wrong_shape_names_both(generator, shape, how):
    with pytest.raises(ValueError, match=r"wants \(N, 6\)") as caught:
        getattr(generator, how)(torch.zeros(shape))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 16, 20), (1, 1, 16, 20), (1, 3, 20, 16)])
def test_images_of_the_wrong_shape_name_both(shape):
    with pytest.raises(ValueError, match=r"wants \(N, 3, 16, 20\)") as caught:
        trained(Discriminator)(torch.zeros(shape))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize(("cls", "shape"), [(Generator, (2, 6)), (Discriminator, (2, 3, 16, 20))])
@pytest.mark.parametrize("labels", [None, torch.zeros(3, dtype=torch.int64)])
def test_missing_labels_are_named(cls, shape, labels):
    with pytest.raises(ValueError, match=r"class-conditional: give labels of shape \(2,\)"):
        trained(cls, **CLASSES)(torch.zeros(shape), labels)


def refused(path, text, cls=Generator):
    with pytest.raises(InputError, match=text) as caught:
        cls.from_pretrained(path, "cpu")
    assert str(path) in str(caught.value)


def test_missing_files(tmp_path, generator):
    refused(tmp_path / "none", "no such run directory")
    refused(tmp_path / ("a" * 300), "no such run directory")
    with pytest.raises(InputError, match="no such run directory"):
        Run.open(tmp_path / ("a" * 300))
    refused(tmp_path, "no generator.safetensors in it")
    generator.save_pretrained(tmp_path)
    refused(tmp_path, "no discriminator.safetensors in it", Discriminator)


def test_pickles_are_refused_and_not_run(tmp_path, generator):
    class Bomb:
        def __reduce__(self):
            return (tmp_path / "run").mkdir, ()

    torch.save(Bomb(), tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(pickle.dumps(Bomb()))
    for name in ("a", "b"):
        refused(tmp_path / f"{name}.safetensors", "pickle")
    assert not (tmp_path / "run").exists()


def test_damaged_files(tmp_path, generator):
    generator.save_pretrained(tmp_path)
    path = tmp_path / "generator.safetensors"
    content = path.read_bytes()
    for length in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path, "damaged")
    header = int.from_bytes(content[:8], "little")
    loaded = 0
    for position in range(0, header + 8, 3):
        path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        try:
            Generator.from_pretrained(path, "cpu")
        except InputError:
            continue
        loaded += 1  # the flip was inside a description that does not matter
    assert loaded < header / 3 / 2


def rewritten(tmp_path, generator, change, tensors=None):
    """The generator's file with its description changed."""
    generator.save_pretrained(tmp_path)
    path = tmp_path / "generator.safetensors"
    old, _ = read_tensors(path)
    described = json.loads(generator.info.to_json())
    change(described)
    save_file(tensors or old, path, {"dcgan": json.dumps(described)})
    return path


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d.update(format="dcgan-model-9"), "'dcgan-model-9' is not 'dcgan-model-1'"),
        (lambda d: d.pop("format"), "not a description"),
        (lambda d: d.pop("network"), "not a description"),
        (lambda d: d.pop("class_names"), "not a description"),
        (lambda d: d.update(trained=3), "not a description"),
        (lambda d: d.update(class_names=3), "not a description"),
        (lambda d: d.update(network=3), "wants settings"),
        (lambda d: d["network"].update(widht=3), "did you mean 'width'"),
        (lambda d: d["network"].update(width="many"), "width: 'many' is not a whole number"),
        (lambda d: d["network"].update(width=10**9), "width: 1000000000 is outside"),
        (lambda d: d["network"].update(image_size="8"), "cannot build 8"),
        (lambda d: d["network"].update(image_size="auto"), "not a description"),
        (lambda d: d["network"].update(channels="auto"), "not a description"),
        (lambda d: d["network"].update(width=3), "do not fit"),
        (lambda d: d["network"].update(conditional=True, classes=3), "do not fit"),
        (lambda d: d["network"].update(family="blog"), "do not fit"),
    ],
)
def test_wrong_descriptions(tmp_path, generator, change, text):
    refused(rewritten(tmp_path, generator, change), text)


def test_a_list_is_no_description(tmp_path, generator):
    save_file({"a": torch.zeros(1)}, tmp_path / "x", {"dcgan": "[" * 100_000})
    save_file({"a": torch.zeros(1)}, tmp_path / "y", {"dcgan": "[1]"})
    save_file({"a": torch.zeros(1)}, tmp_path / "z")
    for name in "xyz":
        refused(tmp_path / name, "not a description of a dcgan model")


def test_weights_that_do_not_fit(tmp_path, generator):
    weights = generator.network.state_dict()
    first = next(iter(weights))
    for tensors in (
        {k: v for k, v in weights.items() if k != first},
        weights | {"extra": torch.zeros(1)},
        weights | {first: weights[first][:-1].contiguous()},
    ):
        refused(rewritten(tmp_path, generator, lambda d: None, tensors), "do not fit")


def test_the_other_networks_file_does_not_fit(tmp_path):
    trained(Discriminator).save_pretrained(tmp_path)
    refused(
        tmp_path / "discriminator.safetensors", r"is a discriminator; name .* its generator\.safetensors", Generator
    )


def test_a_device_that_is_not_there(tmp_path, generator):
    generator.save_pretrained(tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="'cuda' is not available"):
            Generator.from_pretrained(tmp_path, "cuda")
