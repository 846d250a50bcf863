"""The server of `dcgan explore`: our own page and what it asks for, on this machine's loopback address alone."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from dcgan.errors import InputError, printable
from dcgan.explorer.bench import Bench
from dcgan.explorer.guard import Guard, Limits, problem
from dcgan.explorer.latent_routes import latent_routes
from dcgan.explorer.opened import Opened
from dcgan.explorer.run_routes import run_routes

HOST = "127.0.0.1"
PORT = 7868
MOST_RUNS = 32
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def create_app(runs: Sequence[Opened], port: int = PORT, limits: Limits | None = None) -> Guard:
    """The server as an ASGI app that answers requests to this port of the loopback address."""
    bench = Bench(runs)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        bench.close()

    # FastAPI's own pages of documentation would load their scripts from elsewhere.
    app = FastAPI(title="dcgan explore", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.include_router(latent_routes(bench))
    app.include_router(run_routes(bench))
    _add_page(app)
    _add_problems(app)
    return Guard(app, port, limits)


def listen(port: int) -> socket.socket:
    """A socket on a port of the loopback address, any free one for 0; InputError if it is taken."""
    listening = socket.socket()
    try:
        if os.name == "posix":  # a port that was just left is free; elsewhere the option is to share one that is in use
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()  # at once: two sockets may be bound to a port, but only one may listen
    except (OSError, OverflowError) as error:
        listening.close()
        raise InputError(
            f"port {port} of {HOST} cannot be had ({error}); name another with --port, or 0 for any"
        ) from error
    return listening


def serve(runs: Sequence[Opened], listening: socket.socket, started: Callable[[str], None]) -> None:
    """Answer until Ctrl-C; started(address) is called once there are answers."""
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        create_app(runs, port),
        log_level="error",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=10,
        timeout_graceful_shutdown=2,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started(f"http://{HOST}:{port}/")

    with contextlib.suppress(KeyboardInterrupt):  # uvicorn passes it on when all is done
        Server(config).run(sockets=[listening])


def _add_page(app: FastAPI) -> None:
    """Our files, from a table made now: no path leads anywhere else."""
    table = {path.name: path.read_bytes() for path in files("dcgan.explorer").joinpath("page").iterdir()}

    def answer(request: Request, name: str) -> Response:
        kind = KINDS.get(name.rpartition(".")[2])
        if name not in table or kind is None:
            raise HTTPException(404, "no such page")
        tag = f'"{hashlib.sha256(table[name]).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(table[name], media_type=f"{kind}; charset=utf-8", headers=headers)

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return answer(request, "index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def page(request: Request, name: str) -> Response:
        return answer(request, name)


def _add_problems(app: FastAPI) -> None:
    """Errors in one form, with words and without traces."""

    @app.exception_handler(InputError)
    async def wrong(_: Request, error: InputError) -> Response:
        return problem(422, "Unprocessable Content", printable(error)[:1000])

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        parts = [
            f"{printable('.'.join(map(str, e['loc'][1:])))[:100]}: {printable(e['msg'])[:200]}"
            for e in error.errors()[:5]
        ]
        return problem(422, "Unprocessable Content", "; ".join(parts))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        return problem(error.status_code, "Error", printable(error.detail)[:200], headers)

    @app.exception_handler(Exception)
    async def mistake(request: Request, error: Exception) -> Response:
        logging.getLogger("uvicorn.error").error("%s: %r", printable(request.url.path), error)
        return problem(500, "Internal Server Error", "a mistake of ours; the terminal says more")
