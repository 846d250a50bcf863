"""What the tests of exports share: models built once, onnxruntime-web of $DCGAN_ORT, a plain web server, a browser."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dcgan.export.onnx import export_onnx
from dcgan.export.runtime import Runtime, find_runtime
from tests.export.networks import generator


@pytest.fixture(scope="session")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """The ONNX file of a case with float output: its generator, and what the export said."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("onnx")

    @functools.cache
    def build(case: str) -> Any:
        g = generator(case)
        return g, export_onnx(g, folder / f"{case}.onnx")

    return build


@pytest.fixture(scope="session")
def ort() -> Runtime:
    folder = os.environ.get("DCGAN_ORT")
    if not folder:
        pytest.skip("needs onnxruntime-web in the folder $DCGAN_ORT")
    return find_runtime(Path(folder))


class Handler(SimpleHTTPRequestHandler):
    """A host that knows little: no special headers, and no type for WebAssembly."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".wasm": "application/octet-stream"}

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """The address of a folder, on a port of its own; a path below the host's root, as project pages have."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(Handler, directory=str(folder.parent))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/{folder.name}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
