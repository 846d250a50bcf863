"""A hub of our own on the loopback: enough of the protocol that the real client fetches from it. No network is used."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories by name, each with files by (revision, path); and what was asked for."""

    repositories: dict[str, dict[tuple[str, str], bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    claimed: dict[str, int] = field(default_factory=dict)
    """Sizes that are told in place of the true ones, by path."""
    broken: bool = False
    asked: list[str] = field(default_factory=list)
    endpoint: str = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content for GET and HEAD of /user/name/resolve/revision/file."""
        repo, found, rest = path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if self.broken:
            return 500, {}, b""
        if not found or repo not in self.repositories:
            return 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, b""
        if repo in self.gated:
            return 403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}, b""
        files = self.repositories[repo]
        revision = "main" if revision == COMMIT else revision
        if not any(there == revision for there, _ in files):
            return 404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"}, b""
        if (revision, name) not in files:
            return (
                404,
                {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", "X-Repo-Commit": COMMIT},
                b"",
            )
        content = files[revision, name]
        commit = COMMIT if revision == "main" else hashlib.sha1(revision.encode()).hexdigest()
        return 200, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit}, content


@contextmanager
def served(hub: Hub) -> Iterator[Hub]:
    """The hub at `hub.endpoint`, inside."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.reply(body=False)

        def do_GET(self) -> None:
            self.reply(body=True)

        def reply(self, body: bool) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            status, headers, content = hub.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            size = hub.claimed.get(self.path.rsplit("/", 1)[-1], len(content))
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
