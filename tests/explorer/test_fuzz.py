"""Every operation of the server's description is asked for what it allows and for what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.explorer.guard import Limits
from tests.explorer.conftest import client_of

pytest.importorskip("schemathesis", reason="needs schemathesis")
pytest.importorskip("hypothesis", reason="needs hypothesis")

from tests.explorer.fuzzing import fuzz

pytestmark = pytest.mark.slow
OPERATIONS = 14


def test_nothing_that_is_asked_makes_the_server_fail(run: Path, weights: dict[str, Path]) -> None:
    """`python benchmarks/explorer.py fuzz` does the same for 5,000 requests, over HTTP."""
    fast = Limits(rate=1e6, burst=10**6)
    with client_of(run, weights["classes"], weights["batch"], limits=fast) as client:
        found = fuzz(client.request, 16)
    assert found.wrong == []
    assert len(found.statuses) == OPERATIONS
    for operation, statuses in found.statuses.items():
        assert any(status < 300 for status in statuses), f"{operation}: nothing was answered, {statuses}"
        parameters = operation != "GET /api/runs"
        assert not parameters or any(status >= 400 for status in statuses), f"{operation}: nothing was refused"
