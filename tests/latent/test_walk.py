"""Walks: what the paths are, that their ends are the samples, that frames stand alone, and what smoothness is."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dcgan.errors import InputError
from dcgan.latent.walk import Walk, interpolate, walk
from dcgan.latents import BLOCK, latents
from tests.test_pretrained import BATCH, CLASSES, Generator, off, trained

HOWS = ["spherical", "linear"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_a_path_begins_and_ends_exactly_at_its_ends(how, distribution):
    a, b = latents(2, 50, 3, distribution=distribution)
    z = interpolate(a, b, 7, how, distribution)
    assert z.shape == (7, 50)
    assert z.dtype == torch.float32
    assert torch.equal(z[0], a)
    assert torch.equal(z[-1], b)
    back = interpolate(b, a, 7, how, distribution)
    torch.testing.assert_close(back.flip(0), z, atol=1e-6, rtol=1e-5)


def test_linear_is_the_straight_line():
    a, b = latents(2, 50, 3)
    torch.testing.assert_close(interpolate(a, b, 5, "linear")[1], 0.75 * a + 0.25 * b)


@pytest.mark.parametrize("angle", [0.3, math.pi / 2, 3.0])
def test_spherical_is_the_arc_at_constant_angles(angle):
    a = torch.zeros(8)
    a[0] = 5.0
    b = torch.zeros(8)
    b[0], b[3] = 5 * math.cos(angle), 5 * math.sin(angle)
    z = interpolate(a, b, 11, "spherical")
    torch.testing.assert_close(z.norm(dim=1), torch.full((11,), 5.0))
    between = [math.acos(torch.cosine_similarity(p, q, dim=0).double().clamp(-1, 1)) for p, q in itertools.pairwise(z)]
    assert between == pytest.approx([angle / 10] * 10, abs=2e-3)
    assert not z[:, [1, 2, 4, 5, 6, 7]].any()


@pytest.mark.parametrize("times", [1.0, 2.0, -1.0])
def test_where_there_is_no_one_arc_the_line_is_taken(times):
    a = latents(1, 9, 0)[0]
    torch.testing.assert_close(interpolate(a, times * a, 5, "spherical"), interpolate(a, times * a, 5, "linear"))


def test_half_way_an_arc_is_as_likely_as_samples_and_a_line_is_not():
    a, b = latents(400, 100, 1).split(200)
    arcs, lines = (torch.stack([interpolate(p, q, 3, how)[1] for p, q in zip(a, b, strict=True)]) for how in HOWS)
    assert arcs.norm(dim=1).mean().item() == pytest.approx(10, abs=0.1)
    assert lines.norm(dim=1).mean().item() == pytest.approx(10 / math.sqrt(2), abs=0.1)


def test_uniform_latents_stay_in_the_cube_and_uniform():
    a, b = latents(400, 100, 1, distribution="uniform").split(200)
    pairs = list(zip(a, b, strict=True))
    for share, step in ((0.25, 1), (0.5, 2)):
        z = torch.stack([interpolate(p, q, 5, "spherical", "uniform")[step] for p, q in pairs])
        assert z.abs().max() <= 1
        histogram = torch.histc(z, bins=10, min=-1, max=1) / z.numel()
        assert (histogram - 0.1).abs().max() < 0.01, share
        assert z.var().item() == pytest.approx(1 / 3, abs=0.01)
    lines = torch.stack([interpolate(p, q, 3, "linear", "uniform")[1] for p, q in pairs])
    assert lines.var().item() == pytest.approx(1 / 6, abs=0.01)


def test_the_edges_of_the_cube_are_no_trouble():
    a, b = torch.tensor([1.0, -1.0, 1.0, 0.5]), torch.tensor([-1.0, -1.0, 0.2, -0.5])
    z = interpolate(a, b, 9, "spherical", "uniform")
    assert z.isfinite().all()
    assert z.abs().max() <= 1
    assert torch.equal(z[[0, -1]], torch.stack([a, b]))


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({}, {"truncation": 0.6}),
        ({"latent": "uniform"}, {"truncation": 0.6}),
        (CLASSES, {"label": "dog"}),
        (BATCH, {}),
        (BATCH, {"truncation": 0.6}),
        (BATCH | CLASSES, {"label": "dog"}),
    ],
)
@pytest.mark.parametrize("loop", [False, True])
def test_the_ends_of_the_paths_are_the_samples(settings, options, loop):
    generator = trained(Generator, **settings)
    through = (3, 130, 17)  # of two blocks
    walked = walk(generator, through, seed=5, steps=4, loop=loop, **options)
    assert walked.through == ((3, 130, 17, 3) if loop else through)
    rows = 2 + loop
    assert walked.frames.shape == (rows, 4, 16, 20, 3)
    assert walked.z.shape == (rows, 4, 6)
    samples = generator.sample(131, seed=5, **options)
    ends = np.concatenate([walked.frames[:, 0], walked.frames[-1:, -1]])
    assert off(ends, samples[list(walked.through)]) <= (1 if settings.get("norm_stats") == "batch" else 0)
    assert np.array_equal(walked.frames[:-1, -1], walked.frames[1:, 0])
    assert len(np.unique(walked.flat().reshape(-1, 960), axis=0)) == rows * 3 + (not loop)


def test_the_statistics_of_a_walk_are_those_of_its_class():
    generator = trained(Generator, **BATCH | CLASSES)
    generator.info = replace(generator.info, class_names=("1", "10", "2"))
    for name in generator.info.class_names:
        walked = walk(generator, (3, 130), steps=2, label=name)
        assert off(walked.frames[0], generator.sample(131, label=name)[[3, 130]]) <= 1


@pytest.mark.parametrize("settings", [{}, BATCH])
@pytest.mark.parametrize("through", [(3, 17, 9, 1), (3, 130, 9, 70)])
def test_a_frame_is_the_same_whatever_else_is_asked(settings, through):
    generator = trained(Generator, **settings)
    whole = walk(generator, through, seed=5, steps=5)
    part = walk(generator, through[:2], seed=5, steps=3)
    assert np.array_equal(part.frames[0], whole.frames[0, ::2])
    long = walk(generator, (*through, *range(60)), seed=5, steps=5)  # of several pieces
    assert np.array_equal(long.frames[:3], whole.frames)


def test_between_blocks_the_statistics_go_from_one_to_the_other():
    generator = trained(Generator, **BATCH)
    walked = walk(generator, (3, 70), seed=5, steps=5)
    one, other = generator.statistics(5, 0), generator.statistics(5, 1)
    assert one is not None
    assert other is not None
    for i in range(5):
        alone = generator.draw(walked.z[0, i : i + 1], statistics=one.towards(other, i / 4))
        assert np.array_equal(walked.frames[0, i], alone[0])


def test_the_paths_are_those_of_the_samples_latents():
    generator = trained(Generator)
    z = latents(BLOCK * 3, 6, 5)
    walked = walk(generator, (3, 130), seed=5, steps=4, interpolation="linear")
    assert torch.equal(walked.z[0], interpolate(z[3], z[130], 4, "linear"))
    assert np.array_equal(walked.frames[0], generator.draw(walked.z[0]))
    assert np.array_equal(walk(generator).through, range(9))


def test_smoothness_of_known_frames():
    frames = np.zeros((2, 3, 4, 5, 1), np.uint8)
    frames[0, 1], frames[0, 2] = 10, 40
    frames[1, 0] = 40
    frames[1, 1], frames[1, 2, :2] = 40, 80  # half of the last frame is at 80, half at 0
    found = Walk((0, 1, 2), torch.zeros(2, 3, 1), frames).smoothness()
    assert found.steps.tolist() == [[10.0, 30.0], [0.0, 40.0]]
    assert found.ends.tolist() == [40.0, 40.0]
    assert (found.mean, found.largest, found.ratio, found.at) == (20.0, 40.0, 2.0, (1, 1))
    assert found.record()["largest_by_mean"] == 2.0


def test_frames_that_do_not_move_are_smooth():
    still = Walk((0, 1), torch.zeros(1, 3, 1), np.full((1, 3, 4, 4, 3), 7, np.uint8)).smoothness()
    assert (still.mean, still.largest, still.ratio) == (0.0, 0.0, 1.0)


def test_progress_counts_frames():
    seen = []
    walk(trained(Generator), range(60), steps=10, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(256, 590), (512, 590), (590, 590)]


@pytest.mark.parametrize(
    ("settings", "through", "options", "text"),
    [
        ({}, (3,), {}, "two samples or more, not 1"),
        ({}, (3, -1), {}, "-1 is no sample's number"),
        ({}, (3, 2**60), {}, "is no sample's number"),
        ({}, (3, 4), {"steps": 1}, "1 frames make no path"),
        ({}, (3, 4), {"steps": 10_001}, "10,001 frames are too many"),
        ({}, (3, 4), {"steps": 5_001, "loop": True}, "10,002 frames are too many"),
        ({}, (3, 4), {"interpolation": "cubic"}, "'cubic' is neither"),
        ({}, (3, 4), {"seed": -1}, "seed: -1"),
        ({}, (3, 4), {"truncation": 0.0}, "truncation"),
        ({}, (3, 4), {"label": "dog"}, "without classes"),
        (CLASSES, (3, 4), {}, "walk through one of them (there are: cat, dog, 7)"),
        (CLASSES, (3, 4), {"label": "dgo"}, "did you mean 'dog'"),
    ],
)
def test_senseless_walks_are_refused(settings, through, options, text):
    with pytest.raises(InputError) as caught:
        walk(trained(Generator, **settings), through, **options)
    assert text in str(caught.value)
