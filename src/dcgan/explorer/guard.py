"""Who may ask, how much, and how often: an ASGI layer around the server that lets only this machine's page through.

A page of another site could otherwise reach a server on the loopback address, by a request across origins or by a name
that it lets point there; so Host, Origin and Sec-Fetch-Site are checked before anything else. Requests beyond the rate
wait a moment, and are refused with 429 only if that would not help.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = ("localhost", "127.0.0.1", "[::1]")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]


@dataclass(frozen=True)
class Limits:
    """How much one server takes; generous for a person, flat in memory for anyone."""

    rate: float = 100.0
    """Requests a second in the long run."""
    burst: int = 200
    """Requests at once."""
    patience: float = 2.0
    """Seconds that a request waits for its turn before it is refused."""
    in_flight: int = 128
    body: int = 128 * 1024
    """Bytes."""
    body_seconds: float = 10.0
    """For all of a body to arrive."""


class Bucket:
    """Tokens that come at a rate, up to a number; taken ahead, they are waited for."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._tokens, self._then = float(limits.burst), clock()

    def take(self) -> float:
        """Seconds to wait for one's turn; beyond the patience nothing was taken."""
        now = self._clock()
        self._tokens = min(self._limits.burst, self._tokens + (now - self._then) * self._limits.rate)
        self._then = now
        wait = max(0.0, (1 - self._tokens) / self._limits.rate)
        if wait <= self._limits.patience:
            self._tokens -= 1
        return wait


def problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as JSON (RFC 9457)."""
    content = {"type": "about:blank", "status": status, "title": title, "detail": detail}
    return JSONResponse(content, status, headers, "application/problem+json")


class Guard:
    """Around an ASGI app that listens on a loopback port."""

    def __init__(self, app: App, port: int, limits: Limits | None = None) -> None:
        self.app, self.limits = app, limits or Limits()
        self.hosts = {f"{name}:{port}" for name in NAMES} | ({*NAMES} if port == 80 else set())
        self.bucket, self.in_flight = Bucket(self.limits), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _secured(send, scope["path"].startswith("/api/"))
        refusal = self.refusal(scope["method"], scope["headers"])
        if refusal is None and self.in_flight >= self.limits.in_flight:
            refusal = problem(429, "Too Many Requests", "too many at once; try again", {"Retry-After": "1"})
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        self.in_flight += 1
        try:
            await self._in_turn(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _in_turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = self.bucket.take()
        if wait > self.limits.patience:
            after = {"Retry-After": str(math.ceil(wait))}
            await problem(429, "Too Many Requests", "more than the server takes; try again", after)(
                scope, receive, send
            )
            return
        if wait:
            await asyncio.sleep(wait)
        try:
            body = await asyncio.wait_for(self._body(scope, receive), self.limits.body_seconds)
        except TimeoutError:
            await problem(408, "Request Timeout", "the body did not arrive in time")(scope, receive, send)
            return
        if isinstance(body, JSONResponse):
            await body(scope, receive, send)
        elif body is not None:
            await self.app(scope, _replayed(body, receive), send)

    def refusal(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> JSONResponse | None:
        """Why a request is not for us, if so."""
        values: dict[bytes, list[str]] = {}
        for name, value in headers:
            values.setdefault(name.lower(), []).append(value.decode("latin-1").strip().lower())
        hosts, origins = values.get(b"host", []), values.get(b"origin", [])
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return problem(421, "Misdirected Request", "this server answers to localhost and its port only")
        if any(origin not in {f"http://{host}" for host in self.hosts} for origin in origins):
            return problem(403, "Forbidden", "requests of other sites are refused")
        if any(site not in ("same-origin", "none") for site in values.get(b"sec-fetch-site", [])):
            return problem(403, "Forbidden", "requests of other sites are refused")
        kind = (values.get(b"content-type") or [""])[0].split(";")[0].strip()
        if method == "POST" and kind != "application/json":
            return problem(415, "Unsupported Media Type", "wants application/json")
        return None

    async def _body(self, scope: Scope, receive: Receive) -> bytes | JSONResponse | None:
        """All of the body; a problem if it is too large, None if nobody waits any more."""
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        too_large = problem(413, "Content Too Large", f"a body has at most {self.limits.body:,} bytes")
        if any(not value.isdigit() or len(value) > 12 or int(value) > self.limits.body for value in lengths):
            return too_large
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self.limits.body:
                return too_large
            if not message.get("more_body"):
                return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What gives the body once, and then what the connection says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _secured(send: Send, changing: bool) -> Send:
    """What sends our headers too; changing: nothing is kept, because a run may have learned meanwhile."""

    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(b"cache-control", b"no-store")] if changing else []
            message["headers"] = [*message.get("headers", []), *HEADERS, *kept]
        await send(message)

    return secured
