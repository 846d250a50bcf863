"""Boxes and masks: the file and everything that can be wrong with it; floods; regions; functions by name."""

import json

import numpy as np
import pytest

from dcgan.errors import InputError
from dcgan.features.boxes import Box, Boxes, read_boxes
from dcgan.features.masks import holes, loops, mask_named, parse_region

BOX = {"sample": 3, "top": 4, "left": 0, "height": 2, "width": 5}
GOOD = {"format": "dcgan-boxes-1", "seed": 7, "boxes": [BOX]}


def read(tmp_path, values):
    path = tmp_path / "boxes.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return read_boxes(path, (16, 20))


def test_boxes_come_back_as_they_were_saved(tmp_path):
    for boxes in (
        Boxes(7, (Box(3, 4, 0, 2, 5),)),
        Boxes(0, (Box(3, 0, 0, 16, 20), Box(1, 2, 3, 4, 5), Box(3, 15, 19, 1, 1)), "dog", 0.7),
    ):
        boxes.save(tmp_path / "a.json")
        assert read_boxes(tmp_path / "a.json", (16, 20)) == boxes
    assert boxes.samples == (1, 3)
    assert read(tmp_path, GOOD) == Boxes(7, (Box(3, 4, 0, 2, 5),))
    assert read(tmp_path, GOOD | {"class": 2, "truncation": 1}).label == 2


def test_masks_are_the_unions_of_the_boxes():
    boxes = Boxes(0, (Box(9, 1, 2, 3, 4), Box(9, 2, 5, 1, 4), Box(2, 0, 0, 1, 1)))
    masks = boxes.masks(np.array([2, 4, 9]), np.zeros((3, 6, 10, 1), np.uint8))
    assert [mask.sum() for mask in masks] == [1, 0, 12 + 3]
    assert masks[2, 1:4, 2:6].all()
    assert masks[2, 2, 8]
    assert not masks[2, 1, 6]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", '"format": "dcgan-boxes-1"'),
        (GOOD | {"format": "dcgan-boxes-2"}, '"format": "dcgan-boxes-1"'),
        ({"seed": 0, "boxes": [BOX]}, '"format": "dcgan-boxes-1"'),
        (GOOD | {"sede": 1}, "unknown key 'sede'"),
        (GOOD | {"seed": -1}, "seed: -1"),
        (GOOD | {"seed": True}, "seed: True"),
        (GOOD | {"seed": "0"}, "seed: '0'"),
        (GOOD | {"class": 1.5}, "class: 1.5"),
        (GOOD | {"truncation": 0}, "truncation: 0"),
        (GOOD | {"truncation": float("nan")}, "NaN is no number"),
        (GOOD | {"boxes": []}, "one box or more"),
        (GOOD | {"boxes": {}}, "one box or more"),
        (GOOD | {"boxes": [3]}, "boxes[0]: wants sample, top"),
        (GOOD | {"boxes": [BOX, BOX | {"depth": 1}]}, "boxes[1]: wants sample, top"),
        (GOOD | {"boxes": [BOX | {"top": -1}]}, "boxes[0]: wants whole numbers"),
        (GOOD | {"boxes": [BOX | {"top": 0.5}]}, "boxes[0]: wants whole numbers"),
        (GOOD | {"boxes": [BOX | {"width": 0}]}, "boxes[0]: wants whole numbers"),
        (GOOD | {"boxes": [BOX | {"top": 15}]}, "boxes[0]: reaches beyond the image, which is 16 high and 20 wide"),
        (GOOD | {"boxes": [BOX | {"left": 16}]}, "boxes[0]: reaches beyond"),
    ],
)
def test_wrong_files_of_boxes(tmp_path, values, said):
    with pytest.raises(InputError) as caught:
        read(tmp_path, values)
    assert said in str(caught.value)
    assert "boxes.json" in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    with pytest.raises(InputError, match=r"(?s)seed.*boxes\[0\].*boxes\[1\]"):
        read(tmp_path, {"format": "dcgan-boxes-1", "boxes": [3, BOX | {"top": 99}]})
    with pytest.raises(InputError, match="cannot be read"):
        read_boxes(tmp_path / "none.json", (16, 20))


def drawing(*rows):
    return np.array([[255 * (c == "#") for c in row] for row in rows], np.uint8)[None, :, :, None]


def test_holes_are_what_a_flood_from_the_edges_does_not_reach():
    image = drawing(
        "..........",
        ".####.###.",
        ".#..#.#.#.",
        ".#..#.###.",
        ".#..###...",
        ".####.#...",
        "......#.#.",
        "...####.#.",
    )
    expected = np.zeros((8, 10), bool)
    expected[2:5, 2:4] = True
    expected[2, 7] = True
    assert np.array_equal(holes(image)[0], expected)
    found = loops(image)[0]  # the hole of one pixel is a flaw
    grown = np.zeros((8, 10), bool)
    for y, x in zip(*expected.nonzero(), strict=True):
        if (y, x) != (2, 7):
            for dy in range(-2, 3):
                for dx in range(abs(dy) - 2, 3 - abs(dy)):
                    if y + dy >= 0 and x + dx >= 0:
                        grown[y + dy, x + dx] = True
    assert np.array_equal(found, grown)


def test_a_stroke_is_128_and_more_and_a_loop_has_three_pixels_and_more():
    two, three = drawing("#####", "#..##", "#####"), drawing("#####", "#...#", "#####")
    assert (holes(two).sum(), holes(three).sum()) == (2, 3)
    assert not loops(two).any()
    assert loops(three).all()
    assert np.array_equal(holes(three // 255 * 128), holes(three))
    assert not holes(three // 255 * 127).any()


def test_a_stroke_closes_diagonally_and_touches_edges():
    """The flood goes straight, so a diagonal of bright pixels is a wall; ground at the edge is never a hole."""
    assert holes(drawing("..#..", ".#.#.", "#...#", ".#.#.", "..#..")).sum() == 5
    assert not holes(drawing("#####", "#...#", "#...#")).any()
    assert not holes(drawing("###", "###")).any()
    assert not loops(np.zeros((0, 5, 5, 1), np.uint8)).any()


def test_images_do_not_flow_into_each_other():
    ring = drawing("#####", "#...#", "#...#", "#####")
    both = np.concatenate([ring, 0 * ring, ring])
    assert loops(both).any((1, 2)).tolist() == [True, False, True]


def test_regions():
    mask = parse_region("1, 2,3,4", (5, 6))(np.zeros((2, 5, 6, 1), np.uint8))
    assert mask.sum() == 24
    assert mask[:, 1:4, 2:6].all()
    for wrong in ("", "1,2,3", "1,2,3,4,5", "a,2,3,4", "-1,2,3,4", "1,2,0,4", "3,2,3,4", "1,3,3,4", "1.0,2,3,4"):
        with pytest.raises(InputError, match="region"):
            parse_region(wrong, (5, 6))


def left_half(images):
    masks = np.zeros(images.shape[:3], bool)
    masks[:, :, : images.shape[2] // 2] = True
    return masks


def wrong_type(images):
    return images[..., 0]


not_a_function = 3


def test_masks_by_name():
    images = np.zeros((2, 4, 6, 1), np.uint8)
    assert mask_named("loops") is loops
    assert np.array_equal(mask_named("tests.features.test_boxes:left_half")(images), left_half(images))
    for name, said in (
        ("lops", "no 'lops'; did you mean 'loops'"),
        ("no.such.module:f", "cannot be imported"),
        ("tests.features.test_boxes:nothing", "cannot be imported"),
        (":f", "cannot be imported"),
        ("os:", "cannot be imported"),
        ("tests.features.test_boxes:not_a_function", "is no function"),
    ):
        with pytest.raises(InputError, match=said):
            mask_named(name)
    with pytest.raises(InputError, match=r"gave uint8 \(2, 4, 6\) for images \(2, 4, 6, 1\); wants bool"):
        mask_named("tests.features.test_boxes:wrong_type")(images)
