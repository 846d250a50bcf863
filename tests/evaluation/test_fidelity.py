"""Each metric against torch-fidelity, a closed form or the definition written out; and at its edges."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from dcgan.errors import InputError
from dcgan.evaluation.fidelity import (
    Moments,
    Statistics,
    density_coverage,
    fid,
    frechet,
    inception_score,
    kid,
    precision_recall,
    statistics,
)

torch_fidelity = pytest.importorskip("torch_fidelity")


def features(n: int, dimensions: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Correlated and not negative, as the extractors' are."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((dimensions, dimensions)) / np.sqrt(dimensions)
    return np.maximum(rng.standard_normal((n, dimensions)) @ mixing + shift, 0).astype(np.float32)


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return features(1500, 48, 0, 0.15)


@pytest.fixture(scope="module")
def real() -> np.ndarray:
    return features(1800, 48, 1)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1))


def test_statistics_are_numpys_however_they_come(real: np.ndarray) -> None:
    moments = Moments()
    for start in range(0, len(real), 700):
        moments.add(real[start : start + 700])
    for found in (statistics(real), moments.statistics()):
        assert found.count == len(real)
        assert np.allclose(found.mean, real.mean(0, np.float64), rtol=0, atol=1e-12)
        assert np.allclose(found.covariance, np.cov(real.astype(np.float64), rowvar=False), rtol=0, atol=1e-12)


def test_fid_is_torch_fidelitys(drawn: np.ndarray, real: np.ndarray) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    theirs = fid_statistics_to_metric(
        *(fid_features_to_statistics(torch.from_numpy(rows).double()) for rows in (drawn, real)), False
    )["frechet_inception_distance"]
    assert fid(drawn, statistics(real)).value == pytest.approx(theirs, rel=1e-6)


def test_fid_of_gaussians_is_the_closed_form() -> None:
    """With covariances that commute it is |μa - μb|² + Σ (√λa - √λb)²."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    spectra, means = rng.uniform(0.1, 4.0, (2, 30)), rng.standard_normal((2, 30))
    a, b = (Statistics(m, (basis * s) @ basis.T, 100) for m, s in zip(means, spectra, strict=True))
    expected = ((means[0] - means[1]) ** 2).sum() + ((np.sqrt(spectra[0]) - np.sqrt(spectra[1])) ** 2).sum()
    assert frechet(a, b) == pytest.approx(expected, rel=1e-10)


def test_fid_of_samples_of_gaussians_comes_near_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20_000, 4)), 2.0 * rng.standard_normal((20_000, 4)) + 1.0
    assert fid(a, statistics(b)).value == pytest.approx(4 * 1.0 + 4 * (2 - 1) ** 2, rel=0.02)


@pytest.mark.parametrize("n", [1500, 20])
def test_fid_of_a_set_with_itself_is_0(drawn: np.ndarray, n: int) -> None:
    """Fewer rows than dimensions as well, where the covariance is singular."""
    assert fid(100 * drawn[:n], statistics(100 * drawn[:n])).value < 1e-6


def test_fid_of_few_rows_is_the_definition(drawn: np.ndarray, real: np.ndarray) -> None:
    a, b = (np.cov(rows.astype(np.float64), rowvar=False) for rows in (drawn[:20], real))
    values, vectors = np.linalg.eigh(b)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ a @ root).clip(0)).sum()
    shift = drawn[:20].mean(0, np.float64) - real.mean(0, np.float64)
    expected = shift @ shift + np.trace(a) + np.trace(b) - 2 * cross
    assert fid(drawn[:20], statistics(real)).value == pytest.approx(expected, rel=1e-6)


def test_constant_features() -> None:
    """Without variance what remains is the distance of the means; neighbourhoods have no extent."""
    a, b = np.zeros((10, 3), np.float32), np.full((10, 3), 2.0, np.float32)
    assert fid(a, statistics(b)).value == pytest.approx(12.0)
    assert fid(a, statistics(a))[:3] == (0, 0, 0)
    assert precision_recall(a, a)[0].value == 1
    assert precision_recall(a, b)[0].value == 0
    assert kid(a, a).value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("dimensions", "shift", "widest"), [(6, 0.15, 1.2), (48, 0.0, 1.7)])
def test_the_interval_is_as_wide_as_fid_varies(dimensions: int, shift: float, widest: float) -> None:
    """Against the spread over 200 sets that are really drawn anew; at the floor, where FID is bias, not much wider."""
    reference = statistics(features(5000, dimensions, 7))
    found = [fid(features(400, dimensions, 1000 + i, shift), reference) for i in range(200)]
    widths = [(high - low) / 2 / 1.96 for _, low, high, _ in found if low is not None and high is not None]
    assert len(widths) == 200
    assert all(low <= value <= high for value, low, high, _ in found if low is not None and high is not None)
    assert 0.9 < np.mean(widths) / np.std([estimate.value for estimate in found]) < widest


@pytest.mark.parametrize("n", [300, 20])
def test_what_a_row_adds_to_fid_is_the_derivative_to_its_weight(drawn: np.ndarray, real: np.ndarray, n: int) -> None:
    """Fewer rows than dimensions as well, where the covariance is singular."""
    from dcgan.evaluation.fidelity import _influences

    rows, reference, step = drawn[:n].astype(np.float64), statistics(real), 1e-5

    def weighted(weights: np.ndarray) -> float:
        mean, covariance = weights @ rows, np.cov(rows, rowvar=False, aweights=weights, bias=True)
        return frechet(Statistics(mean, covariance * n / (n - 1), n), reference)

    def moved(row: int, by: float) -> float:
        return weighted((1 - by) / n + by * (np.arange(n) == row))

    slopes = np.array([(moved(i, step) - moved(i, -step)) / (2 * step) for i in range(20)])
    found = _influences(drawn[:n], statistics(drawn[:n]), reference)
    found -= found.mean()
    assert np.abs(found[:20] - slopes).max() < 2 / n * np.abs(slopes).max()


def test_kid_is_torch_fidelitys() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    a, b = features(2000, 8, 0, 0.15), features(2100, 8, 1)
    theirs = kid_features_to_metric(torch.from_numpy(a), torch.from_numpy(b), rng_seed=3, verbose=False)
    found = kid(a, b, seed=3)
    assert found.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)
    assert found.how == "100 subsets of 1,000"


def test_kid_is_the_unbiased_estimate_of_the_definition(drawn: np.ndarray, real: np.ndarray) -> None:
    """The mean of many random halves is near the estimate from all rows."""
    a, b = drawn[:80].astype(np.float64), real[:80].astype(np.float64)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / 48 + 1) ** 3

    def pairs(x: np.ndarray) -> float:
        return kernel(x, x)[~np.eye(80, dtype=bool)].mean()

    found = kid(drawn[:80], real[:80])
    assert found.value == pytest.approx(pairs(a) + pairs(b) - 2 * kernel(a, b).mean(), rel=0.05)
    assert found.how == "100 subsets of 40"


def test_the_interval_of_kid_covers_0_for_two_halves_of_one_set(real: np.ndarray) -> None:
    found = kid(real[:900], real[900:])
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high


def test_precision_and_recall_are_torch_fidelitys(drawn: np.ndarray, real: np.ndarray) -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    theirs = prc_features_to_metric(torch.from_numpy(drawn), torch.from_numpy(real), verbose=False)
    precision, recall = precision_recall(drawn, real)
    assert precision.value == pytest.approx(theirs["precision"], rel=1e-3)
    assert recall.value == pytest.approx(theirs["recall"], rel=1e-3)


def test_precision_and_recall_are_the_definition_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more rows than a block, and a last one that is not full."""
    monkeypatch.setattr("dcgan.evaluation.fidelity.BLOCK", 64)
    a, b = features(150, 4, 2, 0.3), features(200, 4, 3)
    a[:64], b[64:128] = a[:64] * 0.01, b[64:128] * 0.01  # radii that are no other block's
    drawn_radii, real_radii = (np.sort(distances(rows, rows), 1)[:, 3] for rows in (a, b))
    precision, recall = precision_recall(a, b)
    assert precision.value == pytest.approx((distances(a, b) <= real_radii).any(1).mean())
    assert recall.value == pytest.approx((distances(a, b) <= drawn_radii[:, None]).any(0).mean())
    assert 0 < precision.value < 1
    assert 0 < recall.value < 1


def test_precision_and_recall_trade_places() -> None:
    """A generator of one tight clump is precise and recalls little; a wide one the reverse."""
    real, clump = features(500, 3, 0), features(500, 3, 1) * 0.2
    precision, recall = precision_recall(clump, real)
    assert precision.value > 0.9 > 0.5 > recall.value
    swapped = precision_recall(real, clump)
    assert swapped[0].value == pytest.approx(recall.value)
    assert swapped[1].value == pytest.approx(precision.value)


@pytest.mark.parametrize("rows", [37, 2200])
def test_density_and_coverage_are_the_definition(rows: int) -> None:
    """More rows than a block as well."""
    a, b = features(rows, 4, 2, 9.2), features(300, 4, 3, 9.0)
    radii = np.sort(distances(b, b), 1)[:, 5]
    inside = distances(a, b) < radii
    density, coverage = density_coverage(a, b)
    assert density.value == pytest.approx(inside.sum() / (5 * rows), rel=1e-3)
    assert coverage.value == pytest.approx(inside.any(0).mean(), rel=1e-3)


def test_density_and_coverage_of_a_perfect_generator() -> None:
    """Density about 1, coverage about 1 - 2⁻⁵ (Naeem et al., proposition 2)."""
    rng = np.random.default_rng(0)
    density, coverage = density_coverage(*rng.standard_normal((2, 2000, 8)).astype(np.float32))
    assert density.value == pytest.approx(1, abs=0.05)
    assert coverage.value == pytest.approx(1 - 2**-5, abs=0.02)


def test_the_interval_of_a_share_is_wilsons() -> None:
    """Written out: the roots in p of |share - p| = z √(p (1 - p) / n)."""
    found = precision_recall(features(200, 3, 1, 0.5), features(200, 3, 0))[0]
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.value < found.high < 1
    for p in (found.low, found.high):
        assert abs(found.value - p) == pytest.approx(1.959964 * np.sqrt(p * (1 - p) / 200))


def test_inception_score_is_torch_fidelitys_and_the_closed_form() -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = np.random.default_rng(0).standard_normal((1000, 12)).astype(np.float32) * 3
    theirs = isc_features_to_metric(torch.from_numpy(logits), rng_seed=4)
    found = inception_score(logits, seed=4)
    assert found.value == pytest.approx(theirs["inception_score_mean"], rel=1e-3)
    assert found.low is not None
    assert found.high is not None
    error = np.sqrt(theirs["inception_score_std"] ** 2 * 10 / 9 / 10)  # of the mean of 10, whose variance is over 10
    for end in (found.low, found.high):
        assert abs(end - found.value) == pytest.approx(1.959964 * error, rel=1e-3)
    assert inception_score(np.zeros((40, 7), np.float32)).value == pytest.approx(1)
    sure = np.eye(5, dtype=np.float32)[np.arange(20_000) % 5] * 100
    assert inception_score(sure).value == pytest.approx(5, rel=2e-3)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(drawn: np.ndarray, wrong: float) -> None:
    broken = drawn[:200].copy()
    broken[3, 1] = broken[5, 0] = wrong
    for metric in (
        lambda: fid(broken, statistics(drawn)),
        lambda: kid(broken, drawn),
        lambda: precision_recall(broken, drawn),
        lambda: density_coverage(drawn, broken),
        lambda: inception_score(broken),
    ):
        with pytest.raises(InputError, match="of 2 images are NaN or infinite"):
            metric()


def test_too_few_rows_and_other_dimensions_are_refused(drawn: np.ndarray) -> None:
    for metric in (
        lambda: fid(drawn[:1], statistics(drawn)),
        lambda: kid(drawn[:3], drawn),
        lambda: precision_recall(drawn[:3], drawn),
        lambda: density_coverage(drawn, drawn[:5]),
        lambda: inception_score(drawn[:19]),
    ):
        with pytest.raises(InputError, match="too few for this metric; at least"):
            metric()
    with pytest.raises(ValueError, match="cannot be compared"):
        fid(drawn[:, :5], statistics(drawn))
    with pytest.raises(ValueError, match="cannot be compared"):
        kid(drawn[:, :5], drawn)


def test_a_missing_torch_fidelity_says_what_to_install(drawn: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity.metric_kid", None)
    with pytest.raises(InputError, match=r"pip install 'dcgan\[evaluation\]'"):
        kid(drawn, drawn)
