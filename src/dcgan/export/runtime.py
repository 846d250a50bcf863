"""onnxruntime-web, which draws in the browser: two files that are found here, or fetched by npm."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dcgan.data.cache import default_cache, partial_folder
from dcgan.errors import InputError, printable

SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = (  # of its tarball
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
NPM_SECONDS = 300.0


@dataclass(frozen=True)
class Runtime:
    """The two files of onnxruntime-web that a page needs."""

    script: Path
    """A module, with the loader of the other in it."""
    wasm: Path

    @property
    def version(self) -> str:
        """As the script's first lines say."""
        with self.script.open("rb") as file:
            found = re.search(rb"ONNX Runtime Web v(\d[\w.-]*)", file.read(500))
        return found[1].decode() if found else "of unknown version"


def find_runtime(given: Path | None = None) -> Runtime:
    """The files in the folder `given`; else of a node_modules here or above, of the cache, or fetched by npm.

    A folder is that of the files, of the package, or one with a node_modules in it. What npm fetches is the version
    whose checksum is above, and is kept in the cache. Raises InputError if there is none, with what to do.
    """
    if given is not None:
        runtime = _in(given)
        if runtime is None:
            raise InputError(
                f"ort: {printable(given)}: no {SCRIPT} and {WASM} of onnxruntime-web (1.20 or later) in it"
            )
        return runtime
    kept = default_cache() / f"{PACKAGE}-{VERSION}"
    here = Path.cwd()
    for place in (*(folder / "node_modules" for folder in (here, *here.parents)), kept):
        runtime = _in(place)
        if runtime is not None:
            return runtime
    with partial_folder(kept, lambda folder: _in(folder) is not None) as folder:
        _fetch(folder)
    return Runtime(kept / SCRIPT, kept / WASM)


def _in(folder: Path) -> Runtime | None:
    inner = (Path(), Path("dist"), Path(PACKAGE, "dist"), Path("node_modules", PACKAGE, "dist"))
    for place in (folder / path for path in inner):
        if (place / SCRIPT).is_file() and _is_wasm(place / WASM):
            return Runtime(place / SCRIPT, place / WASM)
    return None


def _is_wasm(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\0asm"
    except OSError:
        return False


def _fetch(folder: Path) -> None:
    """The two files into a folder, from the tarball that npm fetches, once its checksum is right. No script is run."""
    instead = f"get the package {PACKAGE} (npm install {PACKAGE}) and name its folder by --ort"
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(f"ort: the page needs {PACKAGE}, and npm is not here to fetch it; {instead}")
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"]
        try:
            subprocess.run(command, cwd=temporary, check=True, capture_output=True, text=True, timeout=NPM_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines() or [""]
            raise InputError(f"ort: npm could not fetch {PACKAGE} ({printable(said[-1])}); {instead}") from error
        tarball = next(Path(temporary).glob("*.tgz"), None)
        if tarball is None or hashlib.sha512(tarball.read_bytes()).hexdigest() != SHA512:
            raise InputError(f"ort: what npm fetched is not {PACKAGE} {VERSION} as it was published; {instead}")
        with tarfile.open(tarball) as archive:
            for name in (SCRIPT, WASM):
                member = archive.extractfile(f"package/dist/{name}")
                assert member is not None
                with member, (folder / name).open("wb") as file:
                    shutil.copyfileobj(member, file)
