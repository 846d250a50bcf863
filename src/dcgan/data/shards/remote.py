"""Shards behind URLs, fetched whole into a cache that is bounded: what was used longest ago makes room."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import string
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from dcgan.data.cache import default_cache
from dcgan.data.patience import DataLost, again
from dcgan.errors import InputError, printable

TIMEOUT = 30.0
"""Seconds that a server may stay silent."""
WAITS = (1.0, 4.0, 15.0)
"""Seconds before the second, third and fourth try."""
MOST_BYTES = 64 * 2**30
"""Of a shard, whatever is said of its size."""
PIECE = 2**20
ABANDONED = 3600.0
"""Seconds without a byte after which nobody writes a half fetched file any more."""
FAILURES = (OSError, http.client.HTTPException)
"""Of a server, or of the way to it."""
Result = TypeVar("Result")
_LOCKS: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def cache_bytes() -> int:
    """How much fetched shards may take: `$DCGAN_SHARD_CACHE` in GB, else 16 GB."""
    text = os.environ.get("DCGAN_SHARD_CACHE") or "16"
    try:
        value = float(text)
        if not 0 < value < 1e9:
            raise ValueError
    except ValueError:
        raise InputError(f"DCGAN_SHARD_CACHE: {printable(text)} is not a number of gigabytes above 0") from None
    return int(value * 1e9)


def fetched(url: str, size: int | None = None, sha256: str = "") -> Path:
    """The file of a URL, from the cache or fetched now.

    size, sha256: what it has to be, if that is known. Raises DataLost when it cannot be had after len(WAITS) + 1
    tries, InputError when it is not what it should be.
    """
    folder = default_cache() / "shards"
    path = folder / hashlib.sha256(f"{url} {sha256}".encode()).hexdigest()[:32]
    with _LOCKS[url]:
        if path.is_file() and size in (None, path.stat().st_size):
            os.utime(path)  # used now
            return path
        _patiently(url, lambda: _fetch(url, path, size, sha256))
    _make_room(folder, path)
    return path


def fetched_text(url: str, most: int) -> bytes | None:
    """A small file behind a URL; None when the server says there is none."""
    content = _patiently(url, lambda: _fetch_text(url, most))
    if content is not None and len(content) > most:
        raise InputError(f"{printable(url)}: over {most:,} bytes")
    return content


def _patiently(url: str, attempt: Callable[[], Result]) -> Result:
    """What `attempt` gives; DataLost after len(WAITS) + 1 tries, or at once where asking again is of no use."""
    try:
        return again(attempt, WAITS, _may_pass)
    except FAILURES as error:
        raise DataLost(f"{printable(url)}: cannot be fetched ({printable(error)}).") from error


def _may_pass(error: Exception) -> bool:
    refused = isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code not in (408, 429)
    return isinstance(error, FAILURES) and not refused


def _fetch_text(url: str, most: int) -> bytes | None:
    try:
        with _open(url) as answer:
            content: bytes = answer.read(most + 1)
            said = answer.headers.get("Content-Length", "")
            if said.isdecimal() and len(content) < min(int(said), most + 1):
                raise OSError(f"cut off after {len(content):,} of {int(said):,} bytes")
            return content
    except urllib.error.HTTPError as error:
        if error.code in (403, 404, 410):
            return None
        raise


def _fetch(url: str, path: Path, size: int | None, sha256: str) -> None:
    digest, count, most = hashlib.sha256(), 0, MOST_BYTES if size is None else min(size, MOST_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open(url) as answer:
        said = answer.headers.get("Content-Length")
        handle, partial = tempfile.mkstemp(".partial", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                while piece := answer.read(PIECE):
                    count += len(piece)
                    if count > most:
                        raise InputError(f"{printable(url)}: is larger than {most:,} bytes")
                    digest.update(piece)
                    file.write(piece)
            if said is not None and said.isdecimal() and int(said) != count:
                raise OSError(f"cut off after {count:,} of {int(said):,} bytes")
            if size not in (None, count) or sha256 not in ("", digest.hexdigest()):
                raise InputError(f"{printable(url)}: is not the file that dataset.json describes")
            os.replace(partial, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Redirects stay on http and https, and never go from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme.lower()
        if scheme != "https" and scheme != urlsplit(req.full_url).scheme.lower():
            raise InputError(f"{printable(req.full_url)}: redirects to {printable(newurl)}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str) -> Any:
    """A server's answer. Spaces and letters other than ASCII's are sent as URLs have them, all else as it is."""
    parts = urlsplit(url)
    ascii_only = parts._replace(
        netloc=parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode(),
        path=quote(parts.path, safe=string.punctuation),
        query=quote(parts.query, safe=string.punctuation),
    )
    return _opener().open(ascii_only.geturl(), timeout=TIMEOUT)


def _opener() -> urllib.request.OpenerDirector:
    """Unlike urllib's own it knows no file:, ftp: and data:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        *(urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, _OnlyHttp),
        *(urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler),
    ):
        opener.add_handler(handler())
    return opener


def _make_room(folder: Path, newest: Path) -> None:
    """Remove what was used longest ago until the rest is within bounds; `newest` stays whatever its size.

    What a killed process has left half fetched goes, too: nothing has been written to it for an hour.
    """
    files = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process makes room, too
            status = path.stat()
            if path.suffix == ".partial" and time.time() - status.st_mtime > ABANDONED:
                path.unlink()
                continue
            files.append((status.st_mtime, status.st_size, path))
    total, most = sum(size for _, size, _ in files), cache_bytes()
    for _, size, path in sorted(files):
        if total <= most:
            break
        if path != newest and path.suffix != ".partial":
            path.unlink(missing_ok=True)
            total -= size
