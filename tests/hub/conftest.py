"""A hub on the loopback, a cache of one's own, and a small model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import dcgan
from dcgan.run import Run
from tests.hub.server import Hub, served
from tests.training.conftest import TINY

pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="session")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short run; not to be changed."""
    return dcgan.train(photos, out=tmp_path_factory.mktemp("hub") / "run", images=32, **TINY)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The hub that the client asks, empty at first; no token, and a cache of its own."""
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN", raising=False)
    for name, value in {
        "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
        "HF_STORED_TOKENS_PATH": str(tmp_path / "no-tokens"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    with served(Hub()) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield running
