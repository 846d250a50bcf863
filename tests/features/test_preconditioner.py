from __future__ import annotations

import pytest
import torch

from dcgan.features import preconditioner, svm
from dcgan.features.preconditioner import Choice


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice of 30 images."""
    monkeypatch.setattr(preconditioner, "CHOSEN", 30)


@pytest.mark.usefixtures("few")
def test_it_is_the_inverse_of_the_hessian_of_the_choice() -> None:
    noise = torch.Generator().manual_seed(0)
    features = torch.randn(200, 12, generator=noise, dtype=torch.float64)
    used = torch.arange(0, 200, 2)
    choice = Choice.of(features, used, torch.float64)
    assert choice is None  # 100 are fewer than four times 30
    used = torch.arange(0, 150)
    choice = Choice.of(features, used, torch.float64)
    assert choice is not None
    assert len(set(choice.which.tolist())) == 30
    assert choice.which.max() < 150
    active = (torch.rand(200, 3, generator=noise) < 0.5).double()
    active[:, 2] = 0  # no image of this column is short of its margin
    g = torch.randn(13, 3, generator=noise, dtype=torch.float64)
    found = choice.inverse(active, 0.3)(g[:, [2, 0]], torch.tensor([2, 0]))
    with_one = torch.cat([features, torch.ones(200, 1, dtype=torch.float64)], 1)
    for i, column in enumerate((2, 0)):
        rows = with_one[choice.which[active[choice.which, column] > 0]]
        hessian = torch.eye(13, dtype=torch.float64) + 2 * 0.3 * (150 / 30) * rows.T @ rows
        torch.testing.assert_close(found[:, i], torch.linalg.solve(hessian, g[:, column]))


def test_alike_features_take_fewer_passes_to_the_same_svm(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (2000,), generator=noise)
    scales = torch.logspace(1.5, -1.5, 60, dtype=torch.float64)
    mixed = torch.randn(60, 60, generator=noise, dtype=torch.float64)
    plain = torch.randn(2000, 60, generator=noise, dtype=torch.float64) + torch.nn.functional.one_hot(labels, 60)
    features = plain * scales @ mixed + 5
    monkeypatch.setattr(svm, "FEW", 0)
    monkeypatch.setattr(svm, "FEW_OF_MANY", 0)
    alone = svm.fit(features, labels, 3, 0.01, tolerance=1e-7)
    monkeypatch.setattr(preconditioner, "CHOSEN", 300)
    helped = svm.fit(features, labels, 3, 0.01, tolerance=1e-7)
    torch.testing.assert_close(helped.decision(features), alone.decision(features), rtol=1e-4, atol=1e-4)
    assert helped.passes < alone.passes / 4
