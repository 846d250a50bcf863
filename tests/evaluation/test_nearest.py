"""The nearest of a stream, against brute force: every pair's differences, squared and summed."""

import numpy as np
import pytest
import torch

from dcgan.evaluation import nearest
from dcgan.evaluation.bounds import Bounds
from dcgan.evaluation.nearest import FLOAT_PIXELS, INT_PIXELS, TILE_QUERIES, TILE_REFERENCES, Nearest


@pytest.fixture(params=["int8", "float32", "bounds"], autouse=True)
def _arithmetic(request, monkeypatch):
    """Every test with both kinds of products, whichever is the faster here, and with bounds also where they are few."""
    monkeypatch.setattr(nearest, "_int8_pays", lambda: request.param == "int8")
    if request.param == "bounds":
        monkeypatch.setattr(nearest, "FEWEST_QUERIES", 1)
        monkeypatch.setattr(nearest, "FEWEST_PIXELS", 1)


def noise(*shape, seed=0, levels=256):
    return np.random.default_rng(seed).integers(0, levels, shape).astype(np.uint8)


def brute(queries, references, k=1):
    """Squared distances (Q, k) and numbers of the nearest, the earlier first of equals."""
    exact = np.int64 if queries.dtype == np.uint8 else np.float64
    gaps = queries.reshape(len(queries), 1, -1).astype(exact) - references.reshape(1, len(references), -1)
    squared = (gaps**2).sum(2)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(squared, order, 1), order


def found(queries, references, k=1):
    search = Nearest(queries, k)
    search.add(references)
    return search.squared, search.tags


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1), (3,), (5, 3, 1), (4, 6, 3), (7, 9, 4)])
def test_agrees_with_brute_force(shape, k):
    queries, references = noise(20, *shape), noise(30, *shape, seed=1)
    assert same(found(queries, references, k), brute(queries, references, k))


@pytest.mark.parametrize(("q", "r"), [(1, 1), (1, 40), (40, 1), (TILE_QUERIES + 1, 3), (3, TILE_REFERENCES + 1)])
def test_any_number_of_queries_and_references(q, r):
    queries, references = noise(q, 6), noise(r, 6, seed=1)
    assert same(found(queries, references), brute(queries, references))


@pytest.mark.parametrize("pixels", [784, FLOAT_PIXELS, FLOAT_PIXELS + 1, 3 * FLOAT_PIXELS + 7, INT_PIXELS, 40_000])
def test_the_largest_distances_are_exact(pixels):
    black, white = np.zeros((1, pixels), np.uint8), np.full((1, pixels), 255, np.uint8)
    odd = white.copy()
    odd[0, -1] = 254
    squared, _ = found(np.concatenate([black, white]), np.concatenate([white, odd]), k=2)
    assert squared.tolist() == [[pixels * 255**2 - 255**2 + 254**2, pixels * 255**2], [0, 1]]


def test_of_equals_the_first_is_the_nearest():
    references = np.repeat(noise(3, 8), 4, axis=0)
    assert found(references[::4], references)[1].tolist() == [[0], [4], [8]]
    assert found(references[::4], references, k=3)[1].tolist() == [[0, 1, 2], [4, 5, 6], [8, 9, 10]]


@pytest.mark.parametrize("k", [1, 5])
def test_how_references_are_cut_changes_nothing(k):
    queries, references = noise(30, 4, levels=3), noise(3 * TILE_REFERENCES, 4, seed=1, levels=3)  # full of equals
    whole = found(queries, references, k)
    assert same(whole, brute(queries, references, k))
    for sizes in ([1] * 40, [TILE_REFERENCES], [7, 500, 600]):
        search, start = Nearest(queries, k), 0
        for size in [*sizes, len(references) - sum(sizes)]:
            search.add(references[start : start + size])
            start += size
        assert search.seen == len(references)
        assert same((search.squared, search.tags), whole)


@pytest.mark.parametrize("q", [1, TILE_QUERIES, 2 * TILE_QUERIES + 1])
def test_the_number_of_threads_changes_nothing(monkeypatch, q):
    queries, references = noise(q, 9), noise(TILE_REFERENCES + 5, 9, seed=1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    assert same(found(queries, references), brute(queries, references))


def test_tags_are_remembered():
    queries, references = noise(10, 5), noise(20, 5, seed=1)
    labels = noise(20, seed=2, levels=4)
    search = Nearest(queries)
    search.add(references, labels)
    assert np.array_equal(search.tags, labels[brute(queries, references)[1]])
    assert search.tags.dtype == np.int64


def test_read_only_arrays_are_taken_and_none_is_changed():
    queries, references = noise(4, 5), noise(6, 5, seed=1)
    for array in (queries, references):
        array.setflags(write=False)
    search = Nearest(queries)
    search.add(references, np.broadcast_to(np.int64(3), 6))
    search.squared[:] = -1
    search.tags[:] = -1
    assert same((search.squared, search.tags), (brute(queries, references)[0], np.full((4, 1), 3)))


def test_distances_are_euclidean():
    search = Nearest(np.array([[0, 0], [9, 9]], np.uint8))
    search.add(np.array([[3, 4]], np.uint8))
    assert search.distances.tolist() == [[5.0], [np.sqrt(61)]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features_agree_with_brute_force(dtype):
    rng = np.random.default_rng(0)
    # Far from the origin, where |q|² + |r|² - 2 q·r loses the most.
    queries, references = (rng.normal(100, 1, (n, 40)).astype(dtype) for n in (50, 700))
    search = Nearest(queries, k=4)
    search.add(references)
    squared, numbers = brute(queries, references, 4)
    assert np.array_equal(search.tags, numbers)
    np.testing.assert_allclose(search.distances, np.sqrt(squared), rtol=1e-9)


def test_a_copy_among_features_is_at_no_distance():
    features = np.random.default_rng(0).normal(50, 1, (20, 300))
    search = Nearest(features)
    search.add(features[::-1])
    assert search.tags[:, 0].tolist() == list(range(20))[::-1]
    assert (search.squared >= 0).all()
    assert search.distances.max() < 1e-4


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e18, 1e100])
def test_features_of_any_size_agree_with_brute_force(scale):
    """Also those whose squares no float32 can hold."""
    rng = np.random.default_rng(0)
    queries, references = (scale * rng.normal(0, 1, (n, 40)) for n in (50, 700))
    assert np.array_equal(found(queries, references, 3)[1], brute(queries, references, 3)[1])


def smooth(n, seed=0):
    """Images that vary in a few directions, as photographs and digits do."""
    parts = np.random.default_rng(9).normal(size=(12, 16, 16))
    amounts = np.random.default_rng(seed).normal(0, 12, (n, 12))
    return (128 + np.einsum("nk,khw->nhw", amounts, parts)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("k", [1, 4])
def test_bounds_spare_the_work_and_nothing_else(k, monkeypatch):
    monkeypatch.setattr(nearest, "_int8_pays", lambda: False)
    monkeypatch.setattr(nearest, "FEWEST_QUERIES", TILE_QUERIES)
    monkeypatch.setattr(nearest, "FEWEST_PIXELS", 256)
    queries, references, looked_at = smooth(TILE_QUERIES), smooth(6 * TILE_REFERENCES, seed=1), []
    near = Bounds.near

    def counted(*arguments):
        pairs = near(*arguments)
        looked_at.append(len(pairs[0]))
        return pairs

    monkeypatch.setattr(Bounds, "near", counted)
    squared, numbers = found(queries, references, k)
    exact = np.array([((query.astype(np.int64) - references) ** 2).sum((1, 2)) for query in queries])
    order = np.argsort(exact, axis=1, kind="stable")[:, :k]
    assert same((squared, numbers), (np.take_along_axis(exact, order, 1), order))
    assert looked_at[0] == TILE_QUERIES * TILE_REFERENCES  # nothing is known at first
    assert looked_at[-1] < 0.01 * looked_at[0]


def test_bounds_are_below_the_distances_whatever_the_rounding():
    """All pairs that are as near as asked are found, also where asking allows not the least."""
    queries, references = noise(40, 500).view(np.int8), noise(60, 500, seed=1).view(np.int8)
    gaps = queries[:, None].astype(np.int64) - references[None]
    exact = torch.from_numpy((gaps**2).sum(2))
    # In the subspace of all the pixels there is nothing between the bound and the distance.
    bounds = Bounds(torch.from_numpy(np.concatenate([queries, noise(2000, 500, seed=2).view(np.int8)])))
    outlines = bounds.outlines(torch.from_numpy(references))
    for column in range(len(references)):
        room = torch.empty(40 * 60, dtype=torch.int32)
        rows, columns = bounds.near(slice(0, 40), outlines, exact[:, column], room)
        assert set(range(40)) <= set(rows[columns == column].tolist())


@pytest.mark.parametrize(
    ("queries", "references", "text"),
    [
        (noise(3, 4), noise(3, 5), r"uint8 of shape \(3, 5\) cannot be compared; wants uint8 \(N, 4\), N ≥ 1"),
        (noise(3, 4, 4), noise(3, 16), r"wants uint8 \(N, 4, 4\)"),
        (noise(3, 4), noise(0, 4), "N ≥ 1"),
        (noise(0, 4), noise(3, 4), "N ≥ 1"),
        (noise(3, 0), noise(3, 0), "cannot be compared"),
        (noise(4), noise(4), "cannot be compared"),
        (noise(3, 4), np.zeros((3, 4)), "float64 of shape"),
        (np.zeros((3, 4)), noise(3, 4), r"wants floating-point \(N, 4\)"),
        (np.zeros((3, 4), int), np.zeros((3, 4), int), "uint8 or finite"),
        (np.zeros((3, 4)), np.full((3, 4), np.nan), "uint8 or finite"),
        (np.full((3, 4), np.inf), np.zeros((3, 4)), "uint8 or finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(queries, references, text):
    with pytest.raises(ValueError, match=text):
        found(queries, references)


def test_other_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="k: 0 neighbours"):
        Nearest(noise(3, 4), k=0)
    search = Nearest(noise(3, 4), k=2)
    with pytest.raises(ValueError, match=r"tags have shape \(2,\); 3 references"):
        search.add(noise(3, 4), np.zeros(2, int))
    search.add(noise(1, 4))
    for result in ("squared", "distances", "tags"):
        with pytest.raises(ValueError, match="1 references have been added; 2 neighbours"):
            getattr(search, result)


choose = nearest._int8_pays.__wrapped__  # measures anew, whatever the fixture says


@pytest.mark.parametrize(("seconds", "pays"), [([1.0, 2.0], True), ([2.0, 1.0], False)])
def test_the_faster_products_are_taken(monkeypatch, seconds, pays):
    left = iter(seconds)

    def timed(call):
        assert call().shape == (TILE_QUERIES, TILE_REFERENCES)
        return next(left)

    monkeypatch.setattr(nearest, "_least_seconds", timed)
    assert choose() is pays


def test_saturating_products_are_not_taken(monkeypatch):
    exact = torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: exact(a, b).clamp(-(2**23), 2**23))
    assert not choose()


def test_missing_products_are_not_taken(monkeypatch):
    def missing(a, b):
        raise RuntimeError("not implemented for 'Char'")

    monkeypatch.setattr(torch, "_int_mm", missing)
    assert not choose()
    monkeypatch.delattr(torch, "_int_mm")
    assert not choose()


def test_seconds_are_the_least_of_five(monkeypatch):
    clock = iter([0, 4, 10, 15, 20, 23, 30, 32, 40, 50])  # laps of 4, 5, 3, 2 and 10
    monkeypatch.setattr(nearest.time, "perf_counter", lambda: next(clock))
    assert nearest._least_seconds(lambda: None) == 2


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_a_gpu_finds_the_same(shape):
    queries, references = noise(50, *shape), noise(900, *shape, seed=1)
    search = Nearest(queries, 3, device="cuda")
    search.add(references)
    assert same((search.squared, search.tags), brute(queries, references, 3))
