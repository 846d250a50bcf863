"""The hub's repositories: one weights file is fetched, five files at most are uploaded, never anything else.

huggingface_hub is the extra `hub`. Its settings hold: $HF_HOME (cache), $HF_HUB_OFFLINE, $HF_TOKEN, $HF_ENDPOINT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dcgan
from dcgan.errors import InputError, nearest_beside, printable

WEIGHTS = ("generator.safetensors", "discriminator.safetensors")
UPLOADED = (*WEIGHTS, "model.json", "README.md", "samples.png")
LARGEST = 2**31
"""Bytes of a weights file: a hundred times the paper's largest networks."""
_PART = r"[A-Za-z0-9][\w.-]{0,95}"
_NAME = re.compile(rf"(?P<scheme>hf:/{{1,2}})?(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[\w./-]{{1,255}}))?", re.ASCII)
_SELF: Any = {"library_name": "dcgan", "library_version": dcgan.__version__}


@dataclass(frozen=True)
class Address:
    """`user/name`, `user/name@revision`, or either after hf://, which no path can be."""

    repo_id: str
    revision: str | None
    """A branch, tag or commit; None: the main branch."""
    explicit: bool
    """It began with hf://."""

    def __str__(self) -> str:
        return self.repo_id + (f"@{self.revision}" if self.revision else "")

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """None for what cannot be a name of the hub."""
        found = _NAME.fullmatch(text)
        if not found or ".." in text or "--" in found["repo"] or found["repo"].endswith((".safetensors", ".git", ".")):
            return None
        return cls(found["repo"], found["revision"], bool(found["scheme"]))


def fetch(path: Path, filename: str) -> Path:
    """The weights file of a hub's model, from the hub or the cache; `path` is its name, and nothing on this disk.

    Nothing else of the repository is looked at. A name whose first part is a folder here, or `runs`, is a mistyped
    path and is not asked for. Raises InputError that says what is missing.
    """
    assert filename in WEIGHTS
    address = Address.parse(path.as_posix())
    if address is None or not (address.explicit or _may_be_meant(path)):
        hub = f"; a model of the hub is hf://{address}" if address and path.parent.name != "runs" else ""
        raise InputError(f"{printable(path)}: no such run directory or weights file{nearest_beside(path)}{hub}")
    with _explained(f"{address}", filename):
        from huggingface_hub import hf_hub_download
        from huggingface_hub.constants import is_offline_mode

        wanted: dict[str, Any] = {
            "repo_id": address.repo_id,
            "filename": filename,
            "revision": address.revision,
            **_SELF,
        }
        if not is_offline_mode():
            found: Any = hf_hub_download(**wanted, dry_run=True)
            if found.file_size > LARGEST:
                raise InputError(
                    f"{address}: its {filename} has {found.file_size:,} bytes; no network of ours is so large"
                )
        return Path(hf_hub_download(**wanted))


def upload(repo_id: str, files: Mapping[str, bytes], *, public: bool, update: bool, message: str) -> str:
    """Put these files, and no others, into a repository of the hub in one commit; returns its address in the web.

    It is made, and private unless `public`; one that is there already is refused unless `update`, which leaves what
    else is in it, and who may see it, as they are. Raises InputError that says what is wrong.
    """
    require_repo_id(repo_id)
    if not set(files) <= set(UPLOADED):
        raise ValueError(
            f"only {', '.join(UPLOADED)} are uploaded, not {', '.join(sorted(set(files) - set(UPLOADED)))}"
        )
    with _explained(repo_id, "", writing=True):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi(**_SELF)
        url = api.create_repo(repo_id, private=not public, exist_ok=update)
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repo_id, operations, commit_message=message)
    return str(url)


def require_repo_id(text: str) -> None:
    """Raises InputError unless it is `user/name`."""
    address = Address.parse(text)
    if address is None or address.explicit or address.revision:
        raise InputError(f"repo: {printable(text)!r} is not a name such as user/name")


def _may_be_meant(path: Path) -> bool:
    return path.parent.name != "runs" and not path.parent.exists()


@contextmanager
def _explained(name: str, filename: str, writing: bool = False) -> Iterator[None]:
    """Turn what huggingface_hub and the network raise into words."""
    try:
        import httpx
        from huggingface_hub import errors
    except ImportError as error:
        raise InputError(f"{name}: models of the hub want huggingface_hub: pip install 'dcgan[hub]'") from error
    hint = "log in with `hf auth login` or set $HF_TOKEN"
    try:
        yield
    except errors.GatedRepoError as error:
        raise InputError(f"{name}: its owner grants access on request: ask for it on its page, then {hint}") from error
    except errors.RepositoryNotFoundError as error:
        what = "cannot be made or written by you" if writing else "no such path here, and no such model on the hub"
        raise InputError(f"{name}: {what}, or it is private: then {hint}") from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{name}: the model is there, but no such revision (branch, tag or commit)") from error
    except errors.LocalEntryNotFoundError as error:
        raise InputError(
            f"{name}: no such path here, it is not in the cache, and the hub cannot be reached (no network, or offline)"
        ) from error
    except errors.EntryNotFoundError as error:
        raise InputError(f"{name}: there is no {filename} in it; it is no model of dcgan") from error
    except (errors.OfflineModeIsEnabled, httpx.TransportError, OSError) as error:
        if isinstance(error, errors.HfHubHTTPError):
            raise InputError(f"{name}: {_answer(error, writing, hint)}") from error
        raise InputError(f"{name}: the hub cannot be reached ({_first_line(error)})") from error
    except (errors.LocalTokenNotFoundError, errors.HFValidationError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: {_first_line(error)}") from error


def _answer(error: Any, writing: bool, hint: str) -> str:
    """What an HTTP error of the hub means here."""
    status = error.response.status_code if error.response is not None else 0
    if status == 409 and writing:
        return "exists already; --update adds a commit to it"
    if status in (401, 403):
        return f"the hub does not let you do that; {hint}"
    return f"the hub answers {status} ({_first_line(error)})"


def _first_line(error: BaseException) -> str:
    return printable(next(iter(str(error).strip().splitlines()), type(error).__name__))[:200]
