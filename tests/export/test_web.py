"""The folder that `--web` makes, and where its runtime comes from."""

import hashlib
import io
import json
import os
import re
import stat
import subprocess
import tarfile

import pytest

from dcgan.cli import main
from dcgan.errors import InputError
from dcgan.export import runtime
from dcgan.export.runtime import SCRIPT, VERSION, WASM, Runtime, find_runtime
from dcgan.export.web import PAGE, export_web
from tests.export.networks import generator

pytest.importorskip("onnxruntime")


def write_runtime(folder):
    """Files that look like onnxruntime-web's."""
    folder.mkdir(parents=True)
    (folder / SCRIPT).write_text("/*!\n * ONNX Runtime Web v9.8.7\n */\nexport default 0;\n")
    (folder / WASM).write_bytes(b"\0asm\1\0\0\0")
    return Runtime(folder / SCRIPT, folder / WASM)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    g = generator("fast, classes")
    runtime = write_runtime(folder / "ort")
    return export_web(g, folder / "site", runtime, title="<Faces> & more", source="abc", licence="MIT")


def test_the_folder_is_whole_and_readable_by_all(site):
    names = {str(path.relative_to(site.path)) for path in site.path.rglob("*") if path.is_file()}
    page = {path.name for path in PAGE.iterdir()}
    assert names == page | {"model.onnx", "model.json", "ort/ort.js", "ort/ort.wasm"}
    assert site.size == sum((site.path / name).stat().st_size for name in names)
    assert site.difference <= 1e-4
    assert not list(site.path.parent.glob("*.partial"))
    if os.name == "posix":
        assert stat.S_IMODE(site.path.stat().st_mode) & 0o055 == 0o055


def test_the_page_knows_title_licence_and_classes(site):
    assert (site.path / "index.html").read_text("utf-8").count("&lt;Faces&gt; &amp; more") == 2
    said = json.loads((site.path / "model.json").read_text("utf-8"))
    assert (said["licence"], said["source"], said["runtime"]) == ("MIT", "abc", "9.8.7")
    assert (said["classes"], said["class_names"], said["latent_dim"]) == (3, ["a", "b", "c"], 100)


def test_every_file_that_the_page_names_is_there_and_no_address_is_outside(site):
    for path in PAGE.iterdir():
        text = path.read_text("utf-8")
        named = re.findall(r'(?:from|src=|href=|URL\(|fetch\()\s*"([^"#<>\s]+)"', text)
        for name in named:
            assert (site.path / name).is_file(), f"{path.name} names {name}"
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path.name
    assert "Content-Security-Policy" in (site.path / "index.html").read_text("utf-8")


def test_what_exists_or_fails_leaves_nothing(tmp_path):
    ort = write_runtime(tmp_path / "ort")
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="exists already"):
        export_web(generator(), tmp_path / "mine", ort)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        export_web(generator(), tmp_path / "file" / "site", ort)
    ort.wasm.unlink()
    with pytest.raises(InputError, match="cannot be written"):
        export_web(generator(), tmp_path / "site", ort)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine", "ort"]


def test_command(tmp_path, capsys):
    generator().save_pretrained(tmp_path / "run")
    write_runtime(tmp_path / "ort")
    web = ["export", str(tmp_path / "run"), "--web", str(tmp_path / "site"), "--half"]
    assert main([*web, "--ort", str(tmp_path / "run")]) == 2
    assert f"no {SCRIPT} and {WASM}" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
    assert main([*web, "--ort", str(tmp_path / "ort")]) == 0
    assert f"http.server --directory {tmp_path / 'site'}" in capsys.readouterr().out
    assert "<title>run</title>" in (tmp_path / "site" / "index.html").read_text("utf-8")


@pytest.mark.parametrize("below", ["", "dist", "onnxruntime-web/dist", "node_modules/onnxruntime-web/dist"])
def test_a_runtime_is_found_in_a_given_folder(below, tmp_path):
    wanted = write_runtime(tmp_path / "x" / below)
    assert find_runtime(tmp_path / "x") == wanted
    assert wanted.version == "9.8.7"


def test_a_runtime_is_found_in_node_modules_above(tmp_path, monkeypatch):
    wanted = write_runtime(tmp_path / "node_modules" / "onnxruntime-web" / "dist")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert find_runtime() == wanted
    wanted.wasm.write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"no ort\.wasm"):
        find_runtime(tmp_path / "node_modules")


def tarball(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_npm_fetches_it_once_and_its_checksum_counts(tmp_path, monkeypatch):
    content, calls = tarball({SCRIPT: b"// v", WASM: b"\0asm"}), []

    def npm(command, cwd, **_):
        calls.append(command)
        (tmp_path / cwd / "onnxruntime-web.tgz").write_bytes(content)

    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime.shutil, "which", lambda _: "npm")
    monkeypatch.setattr(runtime.subprocess, "run", npm)
    with pytest.raises(InputError, match=r"not onnxruntime-web .* as it was published"):
        find_runtime()
    monkeypatch.setattr(runtime, "SHA512", hashlib.sha512(content).hexdigest())
    found = find_runtime()
    assert (found.script.read_bytes(), found.wasm.read_bytes()) == (b"// v", b"\0asm")
    assert found.version == "of unknown version"
    assert calls[-1][:3] == ["npm", "pack", f"onnxruntime-web@{VERSION}"]
    before = len(calls)
    assert find_runtime() == found
    assert len(calls) == before


def test_no_npm_and_no_network_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime.shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="npm is not here to fetch it; get the package"):
        find_runtime()
    monkeypatch.setattr(runtime.shutil, "which", lambda _: "npm")

    def fails(command, **_):
        raise subprocess.CalledProcessError(1, command, stderr="npm error code ENOTFOUND\n")

    monkeypatch.setattr(runtime.subprocess, "run", fails)
    with pytest.raises(InputError, match=r"ENOTFOUND\); get the package .* by --ort"):
        find_runtime()
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.endswith(".partial")]
