from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dcgan.cli import main
from dcgan.errors import InputError
from dcgan.hub.repository import Address, fetch, require_repo_id
from dcgan.pretrained import Discriminator, Generator
from dcgan.run import Run
from tests.hub.server import COMMIT, Hub


def put(hub: Hub, run: Run, repo: str = "me/photos", revision: str = "main", **others: bytes) -> None:
    """A repository with the run's networks, and what else people put there."""
    files = {name: (run.path / name).read_bytes() for name in ("generator.safetensors", "discriminator.safetensors")}
    files |= {name.replace("__", "."): content for name, content in others.items()}
    hub.repositories.setdefault(repo, {}).update({(revision, name): content for name, content in files.items()})


def test_a_model_by_name_is_the_model(hub: Hub, trained: Run) -> None:
    put(hub, trained, pytorch_model__bin=b"pickle", config__json=b"{}")
    here, there = Generator.from_pretrained(trained.path), Generator.from_pretrained("me/photos")
    assert np.array_equal(here.sample(4), there.sample(4))
    assert there.info == here.info
    assert Discriminator.from_pretrained("hf://me/photos").info == here.info
    names = {line.rsplit("/", 1)[-1] for line in hub.asked if "/resolve/" in line}
    assert names == {"generator.safetensors", "discriminator.safetensors"}  # nothing else was as much as looked at


def test_a_revision_is_that_revision(hub: Hub, trained: Run) -> None:
    put(hub, trained)
    put(hub, trained, revision="v1")
    hub.repositories["me/photos"]["v1", "generator.safetensors"] = b"{}"
    assert Generator.from_pretrained(f"me/photos@{COMMIT}").info.trained["images"] == 32
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        Generator.from_pretrained("me/photos@v1")


def test_the_second_time_comes_from_the_cache_also_offline(
    hub: Hub, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(hub, trained)
    Generator.from_pretrained("me/photos")
    sent = [line for line in hub.asked if line.startswith("GET")]
    Generator.from_pretrained("me/photos")
    assert [line for line in hub.asked if line.startswith("GET")] == sent
    hub.asked.clear()
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert Generator.from_pretrained("me/photos").info.trained["images"] == 32
    assert hub.asked == []
    with pytest.raises(InputError, match="me/other: no such path here, it is not in the cache"):
        Generator.from_pretrained("me/other")


def test_a_path_wins_over_a_name(hub: Hub, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(hub, trained, repo="photos/best")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Generator.from_pretrained(trained.path).save_pretrained("photos/best")
    assert Generator.from_pretrained("photos/best").sample(1).shape == (1, 16, 16, 3)
    with pytest.raises(InputError, match="photos/bets: no such run directory or weights file; did you mean 'best'"):
        Generator.from_pretrained("photos/bets")  # the folder is here, so it was meant as a path
    with pytest.raises(InputError, match="runs/x: no such run directory"):
        Generator.from_pretrained("runs/x")
    assert hub.asked == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("me/nothing", "no such model on the hub, or it is private: then log in"),
        ("me/gated", "grants access on request"),
        ("me/photos@v9", "no such revision"),
        ("me/empty", r"there is no generator\.safetensors in it"),
        ("me/huge", "has 9,999,999,999 bytes"),
        ("me/pickle", "this is a pickle"),
    ],
)
def test_what_is_wrong_is_said(hub: Hub, trained: Run, name: str, said: str) -> None:
    put(hub, trained)
    put(hub, trained, repo="me/gated")
    hub.gated.add("me/gated")
    hub.repositories["me/empty"] = {("main", "README.md"): b"x"}
    hub.repositories["me/pickle"] = {("main", "generator.safetensors"): b"PK\x03\x04" + bytes(100)}
    if name == "me/huge":
        put(hub, trained, repo=name)
        hub.claimed["generator.safetensors"] = 9_999_999_999
    with pytest.raises(InputError, match=said) as caught:
        Generator.from_pretrained(name)
    assert name.split("@")[0] in str(caught.value).replace("models--me--", "me/")
    if name == "me/huge":
        assert not any(line.startswith("GET") for line in hub.asked)


def test_a_hub_that_fails(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.broken = True
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(InputError, match=r"me/photos: .*(500|cannot be reached)"):
        Generator.from_pretrained("me/photos")


def test_no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    with pytest.raises(InputError, match=r"me/photos: .*cannot be reached"):
        Generator.from_pretrained("me/photos")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'dcgan\[hub\]'"):
        fetch(Path("me/photos"), "generator.safetensors")


def test_commands_take_a_name(hub: Hub, trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(hub, trained)
    assert main(["sample", "me/photos", "-n", "4", "--out", str(tmp_path / "grid.png")]) == 0
    assert (tmp_path / "grid.png").exists()
    assert main(["sample", "hf://me/photos@main", "--out", str(tmp_path / "g.png")]) == 0
    assert main(["sample", "me/phots", "--out", str(tmp_path / "other.png")]) == 2
    assert "no such model on the hub" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "repo", "revision", "explicit"),
    [
        ("user/name", "user/name", None, False),
        ("user/name@v1.0", "user/name", "v1.0", False),
        ("hf://user/name@refs/pr/1", "user/name", "refs/pr/1", True),
        ("hf:/user/name", "user/name", None, True),  # what pathlib makes of it
    ],
)
def test_addresses(text: str, repo: str, revision: str | None, explicit: bool) -> None:
    assert Address.parse(text) == Address(repo, revision, explicit)


@pytest.mark.parametrize(
    "text",
    [
        *("", "name", "/etc/passwd", "a/b/c", "../a", "a/../b", "a/..", "./a", "~/a", "a /b", "a/b c", "a/b\n", "a/b@"),
        *("a/generator.safetensors", "https://x/y", "hf://a", "hf:///a/b", "a/b?x=1", "a/b#c", "a\\b", "a/b@..", "ä/b"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert Address.parse(text) is None
    with pytest.raises(InputError, match="not a name such as user/name"):
        require_repo_id(text)


def test_the_explorer_draws_a_model_by_name(hub: Hub, trained: Run) -> None:
    pytest.importorskip("fastapi", reason="needs the extra explore")
    from dcgan.explorer.opened import Opened

    put(hub, trained)
    opened = Opened(Path("hf://me/photos"), "cpu")
    assert (opened.name, opened.directory, opened.info(0).ready) == ("photos", False, True)
    assert np.array_equal(opened.samples(0, 2, 0), Generator.from_pretrained(trained.path, "cpu").sample(2))


def test_a_name_that_may_be_a_path_says_how_to_mean_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me").mkdir()
    with pytest.raises(
        InputError, match=r"no such run directory or weights file; a model of the hub is hf://me/photos"
    ):
        Generator.from_pretrained("me/photos")
    with pytest.raises(InputError, match=r"no such run directory or weights file$"):
        Generator.from_pretrained("runs/photos")
