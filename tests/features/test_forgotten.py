"""What is measured of forgetting, against plain re-statements; the command from end to end."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.cli import main
from dcgan.cli.features_forget import table
from dcgan.errors import InputError
from dcgan.evaluation import classifier
from dcgan.evaluation.classifier import load_classifier
from dcgan.evaluation.fidelity import fid, statistics
from dcgan.evaluation.neighbours import wilson
from dcgan.evaluation.originals import originals
from dcgan.features.boxes import Box, Boxes
from dcgan.features.forget import Forgetting, Samples, without
from dcgan.features.forget_run import Thing, forget_run, side_by_side
from dcgan.features.forgotten import Change, Distance, Forgotten, Rate, change, distance, forgotten, masked, pixels
from dcgan.features.masks import region
from dcgan.pretrained import Generator
from dcgan.progress import Display

BOX = region(2, 4, 6, 8)


def images_of(n, seed=0, side=16):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_rates_and_their_intervals():
    rate = Rate("x", 0.4, 0.1, 100)
    assert rate.fall == pytest.approx(0.75)
    low, high = rate.interval  # Wilson's of 10 of 100
    assert (low, high) == (pytest.approx(0.0552, abs=1e-4), pytest.approx(0.1744, abs=1e-4))
    assert (low, high) == wilson(10, 100)
    assert Rate("x", 0.0, 0.1, 100).fall == 0
    assert Rate("x", 0.5, 0.0, 100).interval[0] == pytest.approx(0, abs=1e-15)


def test_changes_inside_and_outside():
    before = images_of(3)
    after = before.copy()
    masks = BOX(before)
    after[masks] = np.where(before[masks] > 100, before[masks] - 100, before[masks] + 100)
    after[1, 0, 0] = 255 - before[1, 0, 0]
    found = change(before, after, masks)
    assert found.inside == 100
    outside = np.abs(255 - 2 * before[1, 0, 0].astype(int)).mean() / (~masks).sum()
    assert found.outside == pytest.approx(outside)
    for wrong, said in ((np.ones_like(masks), "everything"), (np.zeros_like(masks), "nothing")):
        with pytest.raises(InputError, match=said):
            change(before, after, wrong)


def test_pixel_features_are_means():
    images = images_of(5)
    expected = images.reshape(5, 8, 2, 8, 2, 3).mean((2, 4)).transpose(0, 3, 1, 2).reshape(5, -1)
    np.testing.assert_allclose(pixels(images), expected, rtol=1e-5)
    assert pixels(images[:, :4]).shape == (5, 4 * 8 * 3)


def test_distances_do_not_see_what_is_masked():
    before, others = images_of(300), images_of(300, 1)
    after = before.copy()
    after[BOX(before)] = 0
    found = distance("pixels", pixels, before, after, others, (BOX(before), BOX(others)))
    assert found.outside == found.outside_floor
    assert found.whole > 2 * found.whole_floor
    masks = BOX(others)
    assert found.outside_floor == pytest.approx(
        fid(pixels(masked(before, masks)), statistics(pixels(masked(others, masks)))).value
    )
    assert found.whole == pytest.approx(fid(pixels(after), statistics(pixels(others))).value)
    moved = after.copy()
    moved[:, 12:] = 0
    assert distance("pixels", pixels, before, moved, others, (masks, masks)).outside > 2 * found.outside


def test_masked_is_grey_inside_and_a_copy():
    images = images_of(2)
    found = masked(images, BOX(images))
    assert (found[:, 2:8, 4:12] == 128).all()
    assert np.array_equal(found[~BOX(images)], images[~BOX(images)])
    assert not (images[:, 2:8, 4:12] == 128).all()


def training_pack(run):
    return originals(run, None).packed(Generator.from_pretrained(run, "cpu").info.network, Display(quiet=True))


def alike(one, other):
    """The same images but for rounding: folded norms round otherwise."""
    assert one.shape == other.shape
    assert np.abs(one.astype(int) - other).max() <= 1


def bright(images):
    return np.broadcast_to((images[:, 3, 5, 0] > 127)[:, None, None], images.shape[:3]) & BOX(images)


def test_the_picture_shows_samples_that_have_the_thing(small_run):
    found = forget_run(small_run, Thing(mask="tests.features.test_forgotten:bright"), shown=3, quiet=True)
    whole = Generator.from_pretrained(small_run, "cpu")
    images = whole.sample(150, 1)
    first = np.flatnonzero(bright(images).any((1, 2)))[:3]
    assert found.shown == tuple(first)
    alike(found.picture, side_by_side(images[first], found.edited.sample(150, 1)[first]))


@pytest.fixture
def pair(small_run):
    whole = Generator.from_pretrained(small_run, "cpu")
    return whole, without(whole, Forgetting(2, (0, 1), np.zeros(4), 1, 1, 1.0))


def test_everything_measured_is_of_the_same_samples(pair):
    whole, edited = pair
    seen = []
    found = forgotten(
        whole,
        edited,
        lambda numbers, images: BOX(images),
        None,
        {"bright": lambda images: images.mean((1, 2, 3)) > 128},
        {"pixels": pixels},
        samples=250,
        seed=3,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (750, 750)
    both, after = whole.sample(500, 3), edited.sample(250, 3)
    before, others = both[:250], both[250:]
    (rate,) = found.rates
    assert (rate.before, rate.after) == tuple((x.mean((1, 2, 3)) > 128).mean() for x in (before, after))
    assert found.change == change(before, after, BOX(before))
    assert found.distances == (distance("pixels", pixels, before, after, others, (BOX(before), BOX(others))),)
    with pytest.raises(InputError, match="at least 100"):
        forgotten(whole, edited, lambda n, i: BOX(i), None, {}, {}, samples=99, seed=0)


def test_with_boxes_changes_are_of_the_boxed_samples_and_there_are_no_distances(pair):
    whole, edited = pair
    boxes = Boxes(5, (Box(70, 2, 4, 6, 8), Box(2, 0, 0, 4, 4)))
    found = forgotten(
        whole, edited, boxes.masks, Samples(boxes.samples, 5), {}, {"pixels": pixels}, samples=100, seed=6
    )
    before, after = (g.sample(71, 5)[[2, 70]] for g in pair)
    expected = change(before, after, boxes.masks(np.array([2, 70]), before))
    assert found.distances == ()
    assert found.change.inside == pytest.approx(expected.inside, abs=0.1)  # folded norms round otherwise
    assert found.change.outside == pytest.approx(expected.outside, abs=0.1)


def test_rows_with_and_without():
    before, after = images_of(12), images_of(12, 1)
    sheet = side_by_side(before, after)
    assert sheet.shape == (4 * 18 + 2, 10 * 18 + 2, 3)
    for i in (0, 9, 10, 11):
        x, y = 2 + i % 10 * 18, 2 + i // 10 * 36
        assert np.array_equal(sheet[y : y + 16, x : x + 16], before[i])
        assert np.array_equal(sheet[y + 18 : y + 34, x : x + 16], after[i])
    assert not sheet[2 + 36 :, 2 + 2 * 18 :].any()
    assert side_by_side(before[:3], after[:3]).shape == (2 * 18 + 2, 3 * 18 + 2, 3)


def test_the_command_forgets_measures_and_saves(small_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 3)
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    out, numbers, saved = tmp_path / "a.png", tmp_path / "a.json", tmp_path / "run"
    command = f"features forget {small_run} --region 2,4,6,8 --maps 2 --samples 70 --seed 4 --shown 5 --measure 200"
    assert main([*command.split(), "--out", str(out), "--json", str(numbers), "--save-run", str(saved)]) == 0
    printed = capsys.readouterr().out
    assert "2 of 4 maps dropped, by 840 places in 70 samples" in printed
    assert "FID outside, pixels" in printed
    told = json.loads(numbers.read_text())
    assert told["format"] == "dcgan-forget-1"
    assert told["learned_from"] == {"numbers": 70, "seed": 4, "label": None, "truncation": None}
    assert told["thing"] == {"boxes": None, "region": "2,4,6,8", "mask": None, "part": None}
    assert told["measured"]["seed"] == 5
    assert len(told["maps"]) == 2
    whole, edited = (Generator.from_pretrained(path, "cpu") for path in (small_run, saved))
    assert told["shown"] == [0, 1, 2, 3, 4]
    alike(np.asarray(Image.open(out)), side_by_side(whole.sample(5, 5), edited.sample(5, 5)))
    assert edited.info.trained["forgot"] == [{"scale": 2, "maps": told["maps"]}]
    options = f"sample {saved} -n 2 --out {tmp_path / 'b.png'}"
    assert main(options.split()) == 0
    assert main(f"evaluate {saved} --extractor classifier --samples 30 --metrics prc".split()) == 0


def test_the_part_chooses_samples_and_is_measured(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 3)
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    every = forget_run(small_run, Thing(region="2,4,6,8", part="bright,dark"), samples=64, measure=150, quiet=True)
    assert every.forgetting.images == 64
    assert every.measured is not None
    assert [rate.judge for rate in every.measured.rates] == ["class bright,dark"]
    assert every.measured.rates[0].before == every.measured.rates[0].after == 1
    assert [of.features for of in every.measured.distances] == ["pixels", "classifier"]
    pack = training_pack(small_run)
    predicted, _ = load_classifier(pack, torch.device("cpu")).predict(
        Generator.from_pretrained(small_run, "cpu").sample(64)
    )
    dark = int((predicted == pack.class_names.index("dark")).sum())
    if dark:
        found = forget_run(small_run, Thing(region="2,4,6,8", part="dark"), samples=64, quiet=True)
        assert found.forgetting.images == dark
    else:  # a classifier of three steps may see one class everywhere
        with pytest.raises(InputError, match="nothing to learn from in 64 samples"):
            forget_run(small_run, Thing(region="2,4,6,8", part="dark"), samples=64, quiet=True)


def test_boxes_and_masks_of_ones_own(small_run, class_run, tmp_path):
    Boxes(3, tuple(Box(i, 2, 4, 6, 8) for i in range(70))).save(tmp_path / "boxes.json")
    by_boxes = forget_run(small_run, Thing(boxes=tmp_path / "boxes.json"), measure=100, quiet=True)
    by_region, by_mask = (
        forget_run(small_run, thing, measure=100, quiet=True, seed=3, samples=70)
        for thing in (Thing(region="2,4,6,8"), Thing(mask="tests.features.test_forgotten:BOX"))
    )
    assert by_boxes.forgetting.maps == by_region.forgetting.maps == by_mask.forgetting.maps
    assert np.array_equal(by_boxes.picture, by_region.picture)
    assert by_boxes.measured is not None
    assert by_mask.measured is not None
    assert by_boxes.measured.distances == ()
    assert by_mask.measured.rates[0] == Rate("the mask tests.features.test_forgotten:BOX", 1.0, 1.0, 100)
    Boxes(3, (Box(5, 2, 4, 6, 8),), "dark", 0.5).save(tmp_path / "dark.json")
    found = forget_run(class_run, Thing(boxes=tmp_path / "dark.json"), shown=3, quiet=True)
    whole = Generator.from_pretrained(class_run, "cpu")
    expected = side_by_side(*(g.sample(3, 4, label="dark", truncation=0.5) for g in (whole, found.edited)))
    alike(found.picture, expected)
    assert found.samples == Samples((5,), 3, "dark", 0.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "by one of --boxes, --region and --mask"),
        ("--region 0,0,4,4 --mask loops", "by one of"),
        ("--region 0,0,17,4", "not inside the image, which is 16 high and 16 wide"),
        ("--region 0,0,16,16", "nothing to learn from"),
        ("--mask lops", "did you mean 'loops'"),
        ("--boxes none.json", "none.json: cannot be read"),
        ("--region 0,0,4,4 --scale 8", "no maps 8 times smaller than the image ([2, 4])"),
        ("--region 0,0,4,4 --maps 0", "maps: 0"),
        ("--region 0,0,4,4 --l2 0", "l2: 0.0"),
        ("--region 0,0,4,4 --samples 0", "samples: 0"),
        ("--region 0,0,4,4 --shown 0", "shown: 0"),
        ("--region 0,0,4,4 --measure 5", "measure: 5 samples say nothing"),
        ("--region 0,0,4,4 --measure 0", "measure: 0 samples say nothing"),
        ("--region 0,0,4,4 --seed -1", "seed: -1"),
        ("--region 0,0,4,4 --class dark", "without classes"),
        ("--region 0,0,4,4 --data nowhere --part dark", "no data at"),
        ("--region 0,0,4,4 --out a.jpg", "a.jpg is no .png"),
    ],
)
def test_wrong_options(small_run, tmp_path, options, said, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["features", "forget", str(small_run), "--out", "a.png", *options.split()]) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert not list(tmp_path.iterdir())


def test_unknown_classes_and_boxes_with_samples(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr("dcgan.features.forget_run.load_classifier", None)  # nothing slow comes first
    with pytest.raises(InputError, match="no class 'drak'; did you mean 'dark'"):
        forget_run(small_run, Thing(region="0,0,4,4", part="bright,drak"), quiet=True)
    Boxes(3, (Box(5, 2, 4, 6, 8),)).save(tmp_path / "boxes.json")
    with pytest.raises(InputError, match="their file says which samples"):
        forget_run(small_run, Thing(boxes=tmp_path / "boxes.json"), seed=3, quiet=True)
    Boxes(2**63 - 1, (Box(5, 2, 4, 6, 8),)).save(tmp_path / "last.json")
    with pytest.raises(InputError, match=r"seed: 9223372036854775807 is outside \[0, 2\^63 - 1\)"):
        forget_run(small_run, Thing(boxes=tmp_path / "last.json"), quiet=True)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        ({"samples": 100_001}, r"samples: 100,001 is outside \[1, 100,000\]"),
        ({"shown": 2_001}, r"shown: 2,001 is outside \[1, 2,000\]"),
        ({"measure": 100_001}, "measure: 100,001 samples are too many; at most 100,000"),
    ],
)
def test_too_many_samples_are_refused_before_the_network_is_loaded(small_run, monkeypatch, count, said):
    monkeypatch.setattr("dcgan.features.forget_run.Generator", None)
    with pytest.raises(InputError, match=said):
        forget_run(small_run, Thing(region="0,0,4,4"), quiet=True, **count)


@pytest.mark.parametrize("option", ["--out", "--json", "--save-run"])
def test_nothing_is_written_over(small_run, tmp_path, option, capsys):
    shutil.copy(small_run / "model.json", tmp_path / "mine.png")
    options = {"--out": "a.png", "--json": "a.json", "--save-run": "run"} | {option: "mine.png"}
    chosen = [text for name, value in options.items() for text in (name, str(tmp_path / value))]
    assert main(["features", "forget", str(small_run), "--region", "0,0,4,4", *chosen]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


def test_the_table():
    found = Forgotten(
        (Rate("class smiling", 0.2, 0.05, 1000),),
        Change(12.34, 5.6),
        (Distance("pixels", 2.5, 1.25, 9.0, 2.0),),
        1000,
        1,
    )
    assert table(found).splitlines() == [
        "of 1,000 samples, seed 1               drawn   without",
        "share with class smiling               20.0%      5.0%   (3.8% to 6.5%): falls by 75%",
        "FID outside, pixels                     1.25       2.5",
        "FID of whole images, pixels                2         9",
        "a pixel changes by 12.3 levels of 255 inside, by 5.6 outside",
    ]
