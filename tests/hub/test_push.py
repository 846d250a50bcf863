"""Uploads go to a stand-in for HfApi that keeps what it is given. The real one is only asked for its exceptions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from dcgan.cli import main
from dcgan.errors import InputError
from dcgan.export.drawing import facts
from dcgan.export.hub import push
from dcgan.hub.repository import UPLOADED, upload
from dcgan.pretrained import Discriminator, Generator
from dcgan.run import Run
from tests.hub.server import COMMIT, Hub


@dataclass
class Api:
    """What was made and committed; `error` is raised in its place."""

    made: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    error: Exception | None = None

    def __call__(self, **kwargs: Any) -> Api:
        return self

    def create_repo(self, repo_id: str, **options: Any) -> str:
        if self.error:
            raise self.error
        self.made.append({"repo_id": repo_id, **options})
        return f"https://hub.example/{repo_id}"

    def create_commit(self, repo_id: str, operations: list[Any], commit_message: str) -> None:
        self.files |= {operation.path_in_repo: operation.path_or_fileobj for operation in operations}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    import huggingface_hub

    fake = Api()
    monkeypatch.setattr(huggingface_hub, "HfApi", fake)
    return fake


def test_five_files_go_and_nothing_else(api: Api, trained: Run) -> None:
    assert list(trained.checkpoints.iterdir())
    assert push(trained.path, "me/photos") == "https://hub.example/me/photos"
    assert api.made == [{"repo_id": "me/photos", "private": True, "exist_ok": False}]
    assert set(api.files) == set(UPLOADED)


def test_what_went_up_comes_down_as_it_was(api: Api, trained: Run, hub: Hub) -> None:
    push(trained.path, "me/photos", public=True, update=True)
    assert api.made == [{"repo_id": "me/photos", "private": False, "exist_ok": True}]
    hub.repositories["me/photos"] = {("main", name): content for name, content in api.files.items()}
    here, there = Generator.from_pretrained(trained.path), Generator.from_pretrained(f"me/photos@{COMMIT}")
    assert (here.sample(5) == there.sample(5)).all()
    assert Discriminator.from_pretrained("me/photos").info == there.info


def test_no_folder_of_this_machine_is_in_any_file(api: Api, trained: Run) -> None:
    assert str(trained.config.data.data).startswith("/")
    push(trained.path, "me/photos")
    folder = str(Path(trained.config.data.data).parent).encode()
    assert folder in (trained.path / "config.yaml").read_bytes()
    assert not [name for name in ("model.json", "data.json") if folder in (trained.path / name).read_bytes()]
    assert not [name for name, content in api.files.items() if folder in content]
    assert json.loads(api.files["model.json"])["trained"]["data"].startswith("folder photos")


def test_nor_of_the_machine_of_an_earlier_version(api: Api, trained: Run) -> None:
    generator = Generator.from_pretrained(trained.path, "cpu")
    generator.info = replace(generator.info, trained={"data": "folder /home/jane doe/my photos: 40 images"})
    generator.push_to_hub("me/photos")
    told = {"data": "folder my photos: 40 images"}
    assert json.loads(api.files["model.json"])["trained"] == facts(generator, "float", "", "")["trained"] == told
    assert not [name for name, content in api.files.items() if b"jane" in content]


def test_a_generator_pushes_itself_and_stays_as_it_is(api: Api, trained: Run) -> None:
    generator = Generator.from_pretrained(trained.path)
    before = generator.info
    assert generator.push_to_hub("me/photos", licence="mit") == "https://hub.example/me/photos"
    assert set(api.files) == set(UPLOADED) - {"discriminator.safetensors"}
    assert generator.info is before
    assert api.files["README.md"].startswith(b"---\nlicense: mit\n")


def test_the_picture_is_the_first_samples(api: Api, trained: Run, tmp_path: Path) -> None:
    push(trained.path / "generator.safetensors", "me/photos", folder=tmp_path / "card")
    assert api.files == {}
    assert {path.name for path in (tmp_path / "card").iterdir()} == set(UPLOADED) - {"discriminator.safetensors"}
    with Image.open(tmp_path / "card" / "samples.png") as image:
        assert image.size == (8 * 18 + 2, 4 * 18 + 2)
        first = image.crop((2, 2, 18, 18)).tobytes()
    assert first == Generator.from_pretrained(trained.path).sample(1).tobytes()


def test_other_files_are_refused(api: Api) -> None:
    with pytest.raises(ValueError, match=r"not checkpoint\.pt"):
        upload("me/photos", {"README.md": b"", "checkpoint.pt": b""}, public=False, update=False, message="m")
    assert api.made == []


def refusal(status: int, kind: str = "HfHubHTTPError") -> Exception:
    from huggingface_hub import errors

    request = httpx.Request("POST", "https://hub.example/api/repos/create")
    return getattr(errors, kind)(f"{status} error", response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal(409), "exists already; --update adds a commit"),
        (refusal(401), "does not let you do that; log in"),
        (refusal(403), "does not let you do that; log in"),
        (refusal(500), "answers 500"),
        (refusal(404, "RepositoryNotFoundError"), "cannot be made or written by you"),
        (httpx.ConnectError("no route"), r"cannot be reached \(no route\)"),
        (ValueError("bad\x1b value"), r"bad\\x1b value"),
    ],
    ids=str,
)
def test_what_the_hub_refuses(api: Api, trained: Run, error: Exception, said: str) -> None:
    api.error = error
    with pytest.raises(InputError, match=f"me/photos: .*{said}"):
        push(trained.path, "me/photos")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("RUN name", "not a name such as user/name"),
        ("RUN me/photos --licence <b>", "no identifier such as mit"),
        ("nowhere me/photos", "no such run directory or weights file"),
        ("RUN me/photos --folder RUN", "exists already; name another --folder"),
    ],
)
def test_wrong_input(api: Api, trained: Run, options: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", *options.replace("RUN", str(trained.path)).split()]) == 2
    assert said in capsys.readouterr().err
    assert api.made == []


def test_by_command(api: Api, trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(trained.path), "me/photos", "--public"]) == 0
    assert "https://hub.example/me/photos: uploaded" in capsys.readouterr().out
    assert api.made[0]["private"] is False
    assert main(["push", str(trained.path), "me/photos", "--folder", str(tmp_path / "card")]) == 0
    assert "nothing was" in capsys.readouterr().out
    assert len(api.made) == 1
