"""Shards from a web server of this test's own."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from dcgan.data.pack import pack
from dcgan.data.patience import DataLost
from dcgan.data.shards import remote
from dcgan.data.shards.source import ShardSource
from dcgan.data.shards.stream import Stream
from dcgan.data.shards.write import Sharding, write_shards
from dcgan.data.sources import find_source
from dcgan.errors import InputError


class Server:
    """A folder on http://127.0.0.1, with faults: name → what to do once for each entry of the list."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.faults, self.asked = folder, dict[str, list[str]](), list[str]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = unquote(self.path).rsplit("/", 1)[-1]
                outer.asked.append(name)
                fault = outer.faults.get(name, [])
                what = fault.pop(0) if fault else ""
                path = outer.folder / name
                if what.startswith("redirect "):
                    self.send_response(302)
                    self.send_header("Location", what.split(" ")[1])
                    self.end_headers()
                    return
                if what == "error" or not path.is_file():
                    self.send_error(500 if what else 404)
                    return
                content = path.read_bytes()
                self.send_response(200)
                if what != "long":
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if what == "cut" else content * (1 + (what == "long")))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "WAITS", (0.01, 0.01, 0.01))
    shutil.copytree(shards, tmp_path / "www")
    server = Server(tmp_path / "www")
    yield server
    server.server.shutdown()
    server.server.server_close()


def opened(server: Server, numbers: str = "{000000..000018}") -> ShardSource:
    source = find_source(f"{server.url}/shard-{numbers}.tar")
    assert isinstance(source, ShardSource)
    return source


def test_only_the_index_is_fetched_at_first(server: Server, album: Path) -> None:
    source = opened(server)
    assert server.asked == ["dataset.json", "dataset.index"]
    assert (len(source), source.class_names) == (203, ("bright", "dark"))
    packed = pack(source, (16, 16), 3)
    assert np.array_equal(packed.images, pack(find_source(album), (16, 16), 3).images)
    assert Counter(server.asked).most_common(1)[0][1] == 1  # each file once


def test_letters_that_urls_do_not_have_are_quoted(server: Server) -> None:
    shutil.move(server.folder / "shard-000000.tar", server.folder / "süß und 50%.tar")
    assert remote.fetched(f"{server.url}/süß und 50%25.tar").is_file()
    assert server.asked == ["süß und 50%.tar"]


def test_it_streams_as_from_the_disk_with_a_cache_of_a_few_shards(
    server: Server, shards: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes = [path.stat().st_size for path in shards.glob("*.tar")]
    monkeypatch.setenv("DCGAN_SHARD_CACHE", f"{6 * max(sizes) / 1e9:.9f}")
    local = find_source(str(shards))
    assert isinstance(local, ShardSource)
    streams = [
        Stream(source, (16, 16, 3), 16, 0, workers=2, buffer=32, warn=lambda _: None)
        for source in (local, opened(server))
    ]
    for _ in range(15):
        here, there = (next(stream)[0] for stream in streams)
        assert here.equal(there)
    for stream in streams:
        stream.close()
    for thread in threading.enumerate():
        if thread.name.startswith("dcgan-"):  # reads ahead, and makes room for it
            thread.join()
    kept = list((tmp_path / "cache" / "shards").iterdir())
    assert sum(path.stat().st_size for path in kept) <= 7 * max(sizes)
    with pytest.raises(InputError, match="train with --stream"):
        pack(opened(server), (16, 16), 3)


def test_shards_are_fetched_once_if_the_cache_holds_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    write_shards(find_source("digits"), tmp_path / "www", Sharding(images=100))
    server = Server(tmp_path / "www")
    largest = max(path.stat().st_size for path in server.folder.glob("*.tar"))
    said: list[str] = []

    def fetched(held: int, batches: int) -> int:
        monkeypatch.setenv("DCGAN_SHARD_CACHE", f"{held * largest / 1e9:.9f}")
        monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / f"cache{held}"))
        stream = Stream(opened(server, "{000000..000059}"), (28, 28, 1), 16, 0, workers=1, buffer=32, warn=said.append)
        server.asked.clear()
        for _ in range(batches):
            next(stream)
        stream.close()
        return sum(name.endswith(".tar") for name in server.asked)

    assert fetched(33, 370) <= 80  # of 60; those at the borders of lanes have been forgotten at times
    assert not said
    assert fetched(6, 20) > 150
    assert len(said) == 1
    assert "they will be fetched several times an epoch. Set DCGAN_SHARD_CACHE=1" in said[0]
    server.server.shutdown()
    server.server.server_close()


@pytest.mark.parametrize("fault", ["error", "cut"])
def test_a_server_that_fails_is_asked_again(server: Server, shards: Path, fault: str) -> None:
    server.faults["shard-000000.tar"] = [fault] * 3
    source = opened(server)
    assert len(list(source.read(range(11)))) == 11
    assert server.asked.count("shard-000000.tar") == 4
    server.faults["shard-000001.tar"] = [fault] * 4
    with pytest.raises(InputError, match=r"shard-000001\.tar: cannot be fetched"):
        list(source.read(range(11, 15)))


@pytest.mark.parametrize("fault", ["error", "cut"])
def test_a_passing_fault_does_not_cost_the_description(server: Server, fault: str) -> None:
    """Without dataset.json the classes would have no names and every shard would be fetched; a resume would fail."""
    server.faults["dataset.json"] = [fault] * 3
    assert opened(server).class_names == ("bright", "dark")
    server.faults["dataset.json"] = [fault] * 4
    with pytest.raises(DataLost, match=r"dataset\.json: cannot be fetched"):
        opened(server)


def test_half_fetched_files_of_killed_processes_go(server: Server, tmp_path: Path) -> None:
    old, new = (tmp_path / "cache" / "shards" / f"{name}.partial" for name in ("old", "new"))
    old.parent.mkdir(parents=True)
    for path in (old, new):
        path.write_bytes(bytes(1000))
    os.utime(old, (time.time() - remote.ABANDONED - 60,) * 2)
    next(opened(server).read([0]))
    assert (old.exists(), new.exists()) == (False, True)


def test_a_stream_that_is_closed_fetches_no_more(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process would otherwise not end before all that was ahead is fetched: long after a scheduler's patience."""
    go = threading.Event()
    fetch = remote._fetch

    def waiting(*arguments: Any) -> None:
        assert go.wait(30)
        fetch(*arguments)

    source = opened(server)
    monkeypatch.setattr(remote, "_fetch", waiting)
    stream = Stream(source, (16, 16, 3), 16, 0, workers=2)
    taking = ThreadPoolExecutor(1).submit(next, stream)
    until = time.monotonic() + 30
    while len(stream._coming) < stream._depth and time.monotonic() < until:
        time.sleep(0.01)
    stream.close()
    go.set()
    with pytest.raises(CancelledError):
        taking.result(30)
    for pool in (stream._pool, stream._fetching):
        assert pool is not None
        pool.shutdown()
    assert len({name for name in server.asked if name.endswith(".tar")}) <= 4  # one a thread, of 19


def test_what_is_not_there_is_not_asked_for_again(server: Server) -> None:
    source = opened(server)
    (server.folder / "shard-000000.tar").unlink()
    with pytest.raises(InputError, match=r"shard-000000\.tar: cannot be fetched \(HTTP Error 404"):
        next(source.read([0]))
    assert server.asked.count("shard-000000.tar") == 1


def test_another_file_than_described_is_refused(server: Server) -> None:
    path = server.folder / "shard-000000.tar"
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is not the file that dataset\.json describes"):
        next(opened(server).read([0]))


def test_more_bytes_than_described_are_not_taken(server: Server) -> None:
    server.faults["shard-000000.tar"] = ["long"]
    with pytest.raises(InputError, match="is larger than"):
        next(opened(server).read([0]))


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_elsewhere_are_not_followed(server: Server, target: str) -> None:
    server.faults["shard-000000.tar"] = [f"redirect {target}"] * 9
    with pytest.raises(
        InputError, match=r"redirects to .*, which is not followed|Redirection to url .* is not allowed"
    ):
        next(opened(server).read([0]))


def test_redirects_to_another_server_are(server: Server) -> None:
    server.faults["shard-000000.tar"] = [f"redirect {server.url}/shard-000000.tar"]
    assert next(opened(server).read([0]))


def test_from_https_to_http_is_not_followed() -> None:
    request = remote.urllib.request.Request("https://host/x")
    with pytest.raises(InputError, match="not followed"):
        remote._OnlyHttp().redirect_request(request, None, 302, "", None, "http://host/x")


def test_shards_of_others_are_read_through_once(server: Server, shards: Path) -> None:
    (server.folder / "dataset.json").unlink()
    source = opened(server, "{000000..000003}")
    assert len(source) == 44
    local = find_source(str(shards))
    assert isinstance(local, ShardSource)
    assert list(source.read(range(44))) == list(local.read(range(44)))
    assert all(server.asked.count(f"shard-00000{i}.tar") == 1 for i in range(4))


@pytest.mark.parametrize("text", ["much", "-1", "nan"])
def test_the_size_of_the_cache_is_a_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DCGAN_SHARD_CACHE", text)
    with pytest.raises(InputError, match="DCGAN_SHARD_CACHE"):
        remote.cache_bytes()
