"""The fixed mapping between floats and bytes, sheets of images, PNG and GIF."""

import io
import pickle

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from dcgan.images import Images, grid, save_gif, save_png, to_array, to_float, to_pil, to_uint8


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_every_level_survives_the_round_trip():
    levels = torch.arange(256, dtype=torch.uint8)
    assert to_float(levels).dtype == torch.float32
    assert torch.equal(to_uint8(to_float(levels)), levels)


def test_the_mapping_is_linear_with_fixed_ends():
    floats = to_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    torch.testing.assert_close(floats, torch.tensor([-1.0, -0.6, 1.0]))


def test_floats_are_rounded_to_the_nearest_level_and_clipped():
    values = torch.tensor([-9.0, -1.0, (100.4 / 127.5) - 1, (100.6 / 127.5) - 1, 1.0, 9.0])
    assert to_uint8(values).tolist() == [0, 0, 100, 101, 255, 255]


def test_conversion_leaves_its_argument_alone():
    floats, levels = torch.tensor([0.5]), torch.tensor([7], dtype=torch.uint8)
    to_uint8(floats), to_float(levels)
    assert floats.item() == 0.5
    assert levels.item() == 7


def test_half_precision_keeps_the_ends():
    assert to_uint8(torch.tensor([-1.0, 1.0], dtype=torch.bfloat16)).tolist() == [0, 255]


def test_to_array_moves_the_channels_last():
    pixels = noise(2, 5, 4, 3)
    floats = to_float(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    array = to_array(floats)
    assert np.array_equal(array, pixels)
    assert array.flags.c_contiguous


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_to_pil_knows_the_channels(channels, mode):
    pixels = noise(5, 4, channels)
    image = to_pil(pixels)
    assert (image.mode, image.size) == (mode, (4, 5))
    assert np.array_equal(np.asarray(image).reshape(5, 4, channels), pixels)


@pytest.mark.parametrize(("n", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 2, 2), (5, 3, 2), (9, 3, 3), (12, 4, 3)])
def test_grid_is_as_square_as_it_can_be(n, columns, rows):
    assert grid(noise(n, 6, 4, 3), padding=0).shape == (rows * 6, columns * 4, 3)


def test_grid_lays_images_out_row_by_row_with_padding_on_black():
    images = noise(3, 2, 3, 1)
    expected = np.zeros((2 * 2 + 3 * 1, 2 * 3 + 3 * 1, 1), np.uint8)
    expected[1:3, 1:4], expected[1:3, 5:8], expected[4:6, 1:4] = images
    assert np.array_equal(grid(images, columns=2, padding=1), expected)


def test_grid_background_is_opaque():
    assert (grid(np.zeros((1, 2, 2, 4), np.uint8), padding=1)[0] == [0, 0, 0, 255]).all()


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (4, 4, 3)])
def test_grid_refuses_what_is_not_a_batch(shape):
    with pytest.raises(ValueError, match=r"\(N, H, W, C\).*" + str(shape[0])):
        grid(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_is_lossless_and_leaves_nothing_else(tmp_path, channels):
    pixels = noise(5, 4, channels)
    save_png(tmp_path / "a.png", pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_gif_loops_and_rests_on_the_last_frame(tmp_path, channels):
    frames = [np.full((5, 4, channels), level, np.uint8) for level in (0, 80, 160, 240)]
    save_gif(tmp_path / "a.gif", frames, seconds=1.0)
    durations, levels = [], []
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.size, image.info["loop"]) == ((4, 5), 0)
        for frame in ImageSequence.Iterator(image):
            durations.append(frame.info["duration"])
            levels.append(np.asarray(frame.convert("RGB"))[0, 0, 0])
    assert durations == [250, 250, 250, 2000]
    assert np.allclose(levels, [0, 80, 160, 240], atol=1)
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_gif_of_one_frame(tmp_path):
    save_gif(tmp_path / "a.gif", [noise(5, 4, 3)])
    with Image.open(tmp_path / "a.gif") as image:
        assert image.size == (4, 5)


def test_gif_of_no_frame_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        save_gif(tmp_path / "a.gif", [])


def shown(images: np.ndarray) -> np.ndarray | None:
    """What a notebook shows of them, as pixels."""
    png = images.view(Images)._repr_png_()
    return None if png is None else np.asarray(Image.open(io.BytesIO(png)))


def test_a_notebook_shows_images_as_a_grid_and_one_as_itself() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), np.uint8)
    sheet = shown(images)
    assert sheet is not None
    assert sheet.shape == (86 * 4, 86 * 4, 3)  # 384 // 86 times as large
    assert np.array_equal(sheet[::4, ::4], grid(images))
    one = shown(images[2])
    assert one is not None
    assert np.array_equal(one[::9, ::9], images[2])
    grey = shown(images[..., :1])
    assert grey is not None
    assert grey.ndim == 2
    many = shown(np.zeros((1000, 28, 28, 1), np.uint8))
    assert many is not None
    assert many.shape == (302, 302)


def test_what_is_no_picture_is_shown_as_text() -> None:
    images = np.zeros((4, 8, 8, 3), np.uint8).view(Images)
    for other in (images.astype(np.float32), images[0, 0], images[:0], images[..., :2], images[None]):
        assert isinstance(other, Images)
        assert other._repr_png_() is None
    assert repr(images[0, 0, :1]) == "array([[0, 0, 0]], dtype=uint8)"


def test_images_are_arrays_in_all_else() -> None:
    plain = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    images = plain.view(Images)
    assert isinstance(images[1:], Images)
    assert np.shares_memory(images[1:], plain)
    for computed in (images / 255, images == 0, images + images, np.abs(images), images.mean(0)):
        assert type(computed) is np.ndarray
    assert type(images.mean()) is np.float64
    assert type(images.max()) is np.uint8
    assert torch.equal(torch.from_numpy(images), torch.from_numpy(plain))
    assert images.tobytes() == plain.tobytes()
    assert np.array_equal(pickle.loads(pickle.dumps(images)), plain)
    assert to_pil(images[0]).tobytes() == plain[0].tobytes()
