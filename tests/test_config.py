"""Settings: coercion, YAML in and out, and messages that say everything that is wrong at once."""

import dataclasses
import math
from pathlib import Path

import pytest
import yaml

from dcgan.config import FIELDS, Config, check_all_apply, documentation
from dcgan.errors import InputError
from dcgan.files import load_yaml, to_yaml
from dcgan.presets import PRESETS, load_preset
from dcgan.values import parse_size


def message(call, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def problems(**settings):
    return message(Config().replace(**settings).check)


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("lr", "2e-4", 2e-4),  # what YAML makes of 2e-4
        ("lr", 1, 1.0),
        ("width", "32", 32),
        ("width", 32.0, 32),
        ("images", "1e6", 1_000_000),
        ("images", None, None),
        ("lr_d", None, None),
        ("seed", 2**63 - 1, 2**63 - 1),  # no float can hold it
        ("seed", "9223372036854775807", 2**63 - 1),
        ("image_size", 64, "64"),
        ("image_size", (48, 64), "48x64"),
        ("image_size", [48, 64], "48x64"),
        ("channels", 3, "3"),
        ("kernel_size", "5", 5),
        ("conditional", True, True),
        ("data", Path("some/where"), str(Path("some/where"))),
    ],
)
def test_values_become_what_their_fields_want(name, given, stored):
    value = Config().replace(**{name: given}).flat()[name]
    assert value == stored
    assert type(value) is type(stored)


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("width", "many", "a whole number"),
        ("width", 32.5, "a whole number"),
        ("width", True, "a whole number"),
        ("width", None, "a whole number"),
        ("width", math.inf, "a whole number"),
        ("width", math.nan, "a whole number"),
        ("width", [32], "a whole number"),
        ("lr", "fast", "a number"),
        ("lr", False, "a number"),
        ("lr_d", [], "a number"),
        ("flip", "yes", "true or false"),
        ("flip", 1, "true or false"),
        ("data", None, "text"),
        ("image_size", 64.0, "text"),
        ("image_size", (48.5, 64), "text"),
        ("channels", 2, "one of auto, 1, 3, 4"),
        ("family", "stride", "one of strided, blog, imagenet32, mnist"),
    ],
)
def test_values_of_the_wrong_type_are_refused(name, given, wanted):
    assert message(Config().replace, **{name: given}) == f"{name}: {given!r} is not {wanted}"


def test_replace_leaves_the_original_and_the_rest_alone():
    config = Config()
    changed = config.replace(width=8, lr=1e-3)
    assert (config.network.width, config.training.lr) == (24, 2e-3)
    assert {k for k, v in changed.flat().items() if v != config.flat()[k]} == {"width", "lr"}


@pytest.mark.parametrize(("name", "value"), [("images", 10), ("n_epochs", 1.0), ("minutes", 2.0)])
def test_a_length_replaces_the_other_lengths(name, value):
    training = Config().replace(n_epochs=3).replace(**{name: value}).training
    expected = {"images": None, "n_epochs": None, "minutes": None} | {name: value}
    assert {k: getattr(training, k) for k in expected} == expected


def test_other_settings_keep_the_length():
    assert Config().replace(n_epochs=3).replace(lr=1e-3, images=None).training.n_epochs == 3


def test_replace_lists_every_problem():
    text = message(Config().replace, widht=8, lr="fast", wieght_decay=0, width=16)
    assert text.splitlines()[0] == "3 problems with the settings:"
    assert "unknown setting 'widht'; did you mean 'width'?" in text
    assert "unknown setting 'wieght_decay'; did you mean 'weight_decay'?" in text
    assert "lr: 'fast' is not a number" in text


def test_check_lists_every_problem_with_its_range():
    text = problems(width=0, lr=2, image_size="8", label_smoothing=0.6)
    assert text.splitlines()[0] == "4 problems with the settings:"
    assert "width: 0 is outside [1, 1024]" in text
    assert "lr: 2.0 is outside (0, 1]" in text
    assert "image_size" in text
    assert "label_smoothing" in text


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("lr", 1.0, [0.0, 1.0001, -1.0, math.nan, math.inf]),  # (0, 1]
        ("beta1", 0.0, [1.0, -0.1]),  # [0, 1)
        ("batch_size", 2, [1, 65537]),  # [2, 65536]
        ("seed", 2**63 - 1, [-1, 2**63, 10**5000]),
        ("label_smoothing", 0.5, [0.51, -0.01]),
        ("lr_d", 0.5, [0.0]),
        ("n_epochs", 0.5, [0.0]),
    ],
)
def test_the_bounds_of_a_range(name, inside, outside):
    Config().replace(**{name: inside}).check()
    for value in outside:
        assert f"{name}: " in problems(**{name: value})
        assert "is outside" in problems(**{name: value})


@pytest.mark.parametrize(("text", "size"), [("64", (64, 64)), ("48x64", (48, 64)), (" 48 × 64 ", (48, 64))])
def test_sizes_are_height_first(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "64x", "-64", "6.4", "64x64x3", "999999", "64 64"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)
    assert "image_size" in problems(image_size=text)


@pytest.mark.parametrize(
    ("family", "size", "nearest"),
    [
        ("strided", "15", "16 and 17"),
        ("strided", "99999", "256 and 255"),
        ("strided", "300x32", "256x32 and 255x32"),
        ("blog", "30", "28 and 32"),
        ("blog", "33", "32 and 36"),
        ("blog", "32x17", "32x16 and 32x20"),
        ("imagenet32", "40x50", "40x48 and 40x56"),
        ("mnist", "27", "28 and 24"),
    ],
)
def test_a_size_that_cannot_be_built_names_the_nearest_two(family, size, nearest):
    config = Config().replace(family=family, image_size=size, conditional=family == "mnist")
    text = message(config.check)
    assert f"the {family} family cannot build {size} " in text
    assert text.endswith(f"nearest: {nearest}")
    for choice in nearest.split(" and "):
        config.replace(image_size=choice).check()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"family": "mnist"}, "conditional"),
        ({"family": "blog", "conditional": True}, "conditional"),
        ({"family": "imagenet32", "conditional": True}, "conditional"),
        ({"family": "blog", "discriminator_norm": "spectral"}, "discriminator_norm"),
        ({"n_epochs": 1, "minutes": 1}, "length: give one of images, n_epochs, minutes, not n_epochs and minutes"),
    ],
)
def test_contradictions_are_refused(settings, name):
    assert problems(**settings).startswith(name)


@pytest.mark.parametrize(
    "settings",
    [
        {"label_smoothing": 0.1, "loss": "hinge"},  # it has no such target, and does without
        {"family": "mnist", "conditional": True},
        {"conditional": True},
        {"image_size": "auto"},
        {"image_size": "16x256"},
    ],
)
def test_what_is_no_contradiction(settings):
    Config().replace(**settings).check()


def test_every_setting_is_documented_once_and_has_a_sensible_default():
    texts = documentation()
    assert set(texts) == set(FIELDS)
    assert all(text.endswith(".") or ":" in text for text in texts.values())
    assert len(set(texts.values())) == len(texts)
    sections = [dataclasses.fields(getattr(Config(), s)) for s in ("network", "data", "training")]
    assert sum(map(len, sections)) == len(FIELDS)  # flat names are unique
    Config().check()


@pytest.mark.parametrize("preset", PRESETS)
def test_yaml_gives_back_what_was_saved(tmp_path, preset):
    config = load_preset(preset).replace(data="größe/猫", image_size=(48, 64), seed=2**63 - 1)
    (tmp_path / "config.yaml").write_text(to_yaml(config.to_dict()), encoding="utf-8")
    assert Config.from_dict(load_yaml(tmp_path / "config.yaml"), Config()) == config


def test_yaml_is_laid_over_a_base(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "preset: mine\ntraining:\n  lr: 2e-4\n  images: 1e6\nnetwork: {image_size: [48, 64]}\n"
    )
    config = Config.from_dict(load_yaml(tmp_path / "c.yaml"), Config().replace(width=8, n_epochs=3))
    assert (config.preset, config.training.lr, config.training.images) == ("mine", 2e-4, 1_000_000)
    assert (config.network.width, config.network.size, config.training.n_epochs) == (8, (48, 64), None)


def test_a_section_without_lines_and_none_in_words() -> None:
    config = Config.from_dict({"network": None, "training": {"lr_d": "none", "images": "NULL"}}, Config())
    assert config == Config().replace(lr_d=None)


@pytest.mark.parametrize("setting", [{"width": 64}, {"kernel_size": 5}, {"norm_stats": "batch"}, {"conv_bias": True}])
def test_what_the_blog_family_would_ignore_is_refused(setting) -> None:
    config = load_preset("blog")
    check_all_apply(config.network)
    with pytest.raises(InputError, match=f"{next(iter(setting))}: the blog family has its own"):
        check_all_apply(config.replace(**setting).network)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"netwrok": {}}, ["unknown key 'netwrok'; did you mean 'network'?"]),
        ({"lr": 1e-3}, ["unknown key 'lr' (it belongs under training:)"]),
        ({"training": {"widht": 1, "width": 8}}, ["training: unknown key 'widht'", "training: unknown key 'width'"]),
        ({"network": {"widht": 1}}, ["network: unknown key 'widht'; did you mean 'width'?"]),
        ({"network": [1]}, ["network: wants settings below it, not [1]"]),
        ({"preset": 3}, ["preset: 3 is not text"]),
        ({5: 1, None: 2}, ["unknown key 5", "unknown key None"]),
        ({"network": {5: 1}, "data": {None: 1}}, ["network: unknown key 5", "data: unknown key None"]),
    ],
)
def test_wrong_keys_are_all_named(values, texts):
    text = message(Config.from_dict, values, Config())
    assert all(part in text for part in texts)
    assert len(texts) == 1 or text.startswith(f"{len(texts)} problems")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"network: {width: 3", "not valid YAML"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"a: \x00", "not valid YAML"),
        (b"!!python/object/apply:os.getcwd []", "line 1: tags are not read here"),
        (b"[" * 100_000, "line 1: nested too deeply"),
        (b"seed: " + b"9" * 5000, "not valid YAML"),
        (b"#" * 100_001, "larger than 97.7 KiB"),
        (b"", "wants sections network, data, training"),
        (b"- 1\n- 2\n", "wants sections"),
        (b"just text", "wants sections"),
    ],
    ids=["open", "binary", "nul", "object", "deep", "long", "huge", "empty", "list", "text"],
)
def test_a_file_that_is_no_settings(tmp_path, content, text):
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    assert text in message(load_yaml, path)
    assert message(load_yaml, path).startswith(str(path))


def test_missing_file_and_folder(tmp_path):
    assert "cannot be read" in message(load_yaml, tmp_path / "none.yaml")
    assert "cannot be read" in message(load_yaml, tmp_path)


def test_a_yaml_bomb_is_refused_at_its_first_alias(tmp_path):
    lines = ["x0: &a0 [1, 1]"] + [f"x{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    path = tmp_path / "c.yaml"
    path.write_text("\n".join(lines) + "\n")
    assert "line 2: aliases are not read here" in message(load_yaml, path)


@pytest.mark.parametrize("place", ["preset", "network", "width", "data"])
def test_a_bomb_of_shared_values_makes_a_short_message(place):
    bomb: list = [1, 1]
    for _ in range(12):
        bomb = [bomb] * 10
    values = {"preset": bomb, "network": {"width": bomb}, "width": bomb, "data": {"data": bomb}}
    assert len(message(Config.from_dict, {place: values[place]}, Config())) < 2000


def test_a_hexadecimal_number_too_long_to_be_written(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("training: {seed: 0x" + "f" * 5000 + ", lr: 0x" + "f" * 5000 + "}")
    assert "lr: a huge number" in message(Config.from_dict, load_yaml(path), Config())


def test_saved_yaml_is_plain(tmp_path):
    (tmp_path / "c.yaml").write_text(to_yaml(Config().to_dict()), encoding="utf-8")
    values = yaml.safe_load((tmp_path / "c.yaml").read_text())
    assert list(values) == ["preset", "network", "data", "training"]
    assert values["network"]["image_size"] == "auto"
