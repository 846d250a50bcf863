"""Who is answered and what is refused: hosts, origins, paths, bodies, rates, bounds; and never a 5xx."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcgan.errors import InputError
from dcgan.explorer.guard import POLICY, Bucket, Guard, Limits
from dcgan.explorer.opened import Opened, names_apart
from dcgan.explorer.server import PORT, create_app, listen
from dcgan.pretrained import Generator
from tests.explorer.conftest import client_of, images_of
from tests.test_pretrained import CLASSES, trained

PAGE = "/api/runs"


def test_the_page_and_its_files_come_with_our_headers(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == POLICY
    assert page.headers["x-content-type-options"] == "nosniff"
    for name in ("app.js", "style.css", "icon.svg"):
        answer = client.get(f"/page/{name}")
        assert answer.status_code == 200
        assert f'"/page/{name}"' in page.text
        assert client.get(f"/page/{name}", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    assert client.get(PAGE).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/page/../server.py",
        "/page/..%2fserver.py",
        "/page/%2e%2e/%2e%2e/server.py",
        "/page/..\\server.py",
        "/page//etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/page/app.js%00",
        "/docs",
        "/redoc",
        "/page/",
    ],
)
def test_no_path_leads_anywhere_else(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_this_machine_is_answered(client, host):
    assert client.get(PAGE, headers={"host": f"{host}:{PORT}"}).status_code == 200
    assert client.get(PAGE, headers={"origin": f"http://{host}:{PORT}"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", f"127.0.0.1.evil:{PORT}", ""]
)
def test_other_hosts_are_refused(client, host):
    answer = client.get(PAGE, headers={"host": host})
    assert answer.status_code == 421
    assert answer.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"https://127.0.0.1:{PORT}"},
        {"origin": f"http://127.0.0.1:{PORT + 1}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_are_refused_and_told_nothing(client, headers):
    for answer in (client.get(PAGE, headers=headers), client.options(PAGE, headers=headers)):
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_two_hosts_are_refused():
    guard = Guard(None, PORT)  # type: ignore[arg-type]
    one = (b"host", f"127.0.0.1:{PORT}".encode())

    def status(*headers: tuple[bytes, bytes]) -> int | None:
        refused = guard.refusal("GET", headers)
        return None if refused is None else refused.status_code

    assert status(one) is None
    assert status(one, one) == 421
    assert status(one, (b"Origin", b"http://evil")) == 403
    assert Guard(guard.app, 80).refusal("GET", [(b"host", b"localhost")]) is None


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("picked.png", {"picks": []}, "at least 1"),
        ("picked.png", {"picks": [{"number": 1}] * 65}, "at most 64"),
        ("picked.png", {"picks": [{"number": -1}]}, "picks.0.number"),
        ("picked.png", {"picks": [{"number": 2**40}]}, "picks.0.number"),
        ("picked.png", {"picks": [{"number": 1, "seed": 2**63}]}, "picks.0.seed"),
        ("picked.png", {"picks": [{"number": 1, "truncation": 0}]}, "greater than 0"),
        ("picked.png", {"picks": [{"number": 1, "truncation": "NaN"}]}, "finite number"),
        ("picked.png", {"picks": [{"number": 1, "label": "dog"}]}, "without classes"),
        ("picked.png", {"picks": [{"number": 1, "z": 3}]}, "Extra inputs"),
        ("picked.png", {"picks": [{"number": 1}], "edit": "0" * 16}, "no longer here"),
        ("picked.png", [], "valid dictionary"),
        ("walk.png", {"through": [{"number": 1}]}, "at least 2"),
        ("walk.png", {"through": [{"number": 1}] * 10}, "at most 9"),
        ("walk.png", {"through": [{"number": 1}] * 9, "steps": 120}, "at most 256"),
        ("walk.gif", {"through": [{"number": 1}] * 2, "interpolation": "cubic"}, "'spherical' or 'linear'"),
        ("slide.png", {"picks": [{"number": 1}], "moves": [{"principal": {"90": 1}}]}, "no principal direction 90"),
        ("slide.png", {"picks": [{"number": 1}], "moves": [{"principal": {"0": 1e9}}]}, "less than or equal to 20"),
        ("slide.png", {"picks": [{"number": 1}] * 16, "moves": [{}] * 32}, "512 images of this size are too many"),
        ("arithmetic.png", {"a": [{"number": 1}], "b": [{"number": 1}]}, "c: Field required"),
        ("forget", {"boxes": []}, "at least 1"),
        ("forget", {"boxes": [{"number": 0, "top": 10, "left": 0, "height": 7, "width": 3}]}, "reaches beyond"),
        ("forget", {"boxes": [{"number": 0, "top": 0, "left": 0, "height": 1, "width": 1}]}, "nothing to learn from"),
        ("forget", {"boxes": [{"number": 0, "top": 0, "left": 0, "height": 16, "width": 20}]}, "nothing to learn from"),
        ("forget", {"boxes": [{"number": 0, "top": 2, "left": 2, "height": 4, "width": 4}], "scale": 3}, "no maps 3"),
        (f"forget/{'0' * 16}/save", {"name": "x"}, "no longer here"),
        ("neighbours", {"picks": [{"number": 1}], "k": 9}, "less than or equal to 8"),
    ],
)
def test_what_makes_no_sense_is_refused_with_words(client, path, body, says):
    answer = client.post(f"/api/runs/1/{path}", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    "query", ["count=0", "count=257", "count=x", "seed=-1", "start=-1", "truncation=nan", "truncation=inf", "z=1"]
)
def test_queries_have_bounds_too(client, query):
    assert client.get(f"/api/runs/1/samples.png?{query}").status_code == 422


def test_large_images_come_fewer_at_a_time(weights, monkeypatch):
    monkeypatch.setattr("dcgan.explorer.opened.PIXELS", 16 * 20 * 10)
    with client_of(weights["plain"]) as client:
        assert client.get(PAGE).json()[0]["most"] == 10
        assert client.get("/api/runs/0/samples.png?count=10").status_code == 200
        assert "at most 10" in client.get("/api/runs/0/samples.png?count=11").json()["detail"]


@pytest.mark.parametrize("path", ["/api/runs/9/log", "/api/runs/-1/log", "/api/runs/9/samples.png", "/api/nothing"])
def test_unknown_runs_are_not_found(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "content", [b"", b"[[", b"\xff\xfe", b"[" * 100_000, b'{"picks": ' + b"9" * 10_000 + b"}", b'"\\ud800"']
)
def test_bodies_that_are_no_json_are_refused(client, content):
    answer = client.post("/api/runs/1/picked.png", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert "Traceback" not in answer.text


def test_bodies_are_bounded_and_json(client):
    kind = {"content-type": "application/json"}
    path = "/api/runs/1/picked.png"
    assert client.post(path, content=b" " * 200_000, headers=kind).status_code == 413
    assert client.post(path, content=(b" " * 50_000 for _ in range(4)), headers=kind).status_code == 413
    assert client.post(path, content=b"x", headers=kind | {"content-length": "9" * 40}).status_code == 413
    for wrong in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert client.post(path, content=b"{}", headers={"content-type": wrong}).status_code == 415
    assert client.put(path, json={}).status_code == 405
    assert client.delete(path).status_code == 405


def test_a_mistake_of_ours_is_told_without_a_trace(weights, monkeypatch):
    from starlette.testclient import TestClient

    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("dcgan.explorer.opened.Opened.samples", broken)
    app = create_app([Opened(weights["plain"], "cpu")])
    client = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False)
    answer = client.get("/api/runs/0/samples.png")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


def test_requests_beyond_the_rate_wait_and_are_then_refused(weights):
    limits = Limits(rate=20.0, burst=3, patience=0.0)
    with client_of(weights["plain"], limits=limits) as client:
        answers = [client.get("/page/icon.svg") for _ in range(8)]
    assert [answer.status_code for answer in answers][:3] == [200] * 3
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].headers["retry-after"] == "1"


def test_a_bucket_gives_so_many_at_once_and_so_many_a_second():
    now = 0.0
    bucket = Bucket(Limits(rate=10.0, burst=5, patience=0.2), lambda: now)
    assert [bucket.take() for _ in range(5)] == [0.0] * 5
    assert bucket.take() == pytest.approx(0.1)
    assert bucket.take() == pytest.approx(0.2)
    assert bucket.take() == pytest.approx(0.3)  # more than the patience: not taken
    assert bucket.take() == pytest.approx(0.3)
    now = 0.3
    assert bucket.take() == 0.0
    now = 1000.0
    assert [bucket.take() for _ in range(6)] == pytest.approx([0.0] * 5 + [0.1])


def through(guard: Guard, receive, path="/x", method="GET", headers=()):
    """What a guard sends for a request whose body comes from `receive`."""
    sent = []

    async def send(message):
        sent.append(message)

    host = (b"host", f"127.0.0.1:{PORT}".encode())
    scope = {"type": "http", "method": method, "path": path, "headers": [host, *headers]}
    asyncio.run(guard(scope, receive, send))
    return sent


def test_a_body_that_does_not_come_is_not_waited_for():
    async def never():
        await asyncio.sleep(60)

    sent = through(Guard(None, PORT, Limits(body_seconds=0.05)), never)  # type: ignore[arg-type]
    assert sent[0]["status"] == 408


def test_who_has_gone_is_not_answered():
    async def gone():
        return {"type": "http.disconnect"}

    assert through(Guard(None, PORT), gone) == []  # type: ignore[arg-type]


def test_too_many_at_once_are_refused():
    seen = []

    async def app(scope, receive, send):
        seen.append(await receive())
        sent = []

        async def keep(message):
            sent.append(message)

        await guard(scope, receive, keep)
        seen.append(sent[0]["status"])

    async def body():
        return {"type": "http.request", "body": b"abc", "more_body": False}

    guard = Guard(app, PORT, Limits(in_flight=1))
    through(guard, body)
    assert seen == [{"type": "http.request", "body": b"abc", "more_body": False}, 429]
    assert guard.in_flight == 0


def test_websockets_are_closed():
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(Guard(None, PORT)({"type": "websocket"}, None, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_run_without_a_generator_is_shown_and_waited_for(run):
    (run / "generator.safetensors").rename(run / "later")
    with client_of(run) as client:
        (shown,) = client.get(PAGE).json()
        assert (shown["name"], shown["ready"]) == ("small", False)
        assert "first checkpoint" in shown["trouble"]
        assert client.get("/api/runs/0/log").json()["records"]
        assert client.get("/api/runs/0/samples.png").status_code == 422
        (run / "later").rename(run / "generator.safetensors")
        (shown,) = client.get(PAGE).json()
        assert (shown["ready"], shown["height"], shown["maps"]) == (True, 16, [4, 8])
        assert client.get("/api/runs/0/samples.png").status_code == 200


def test_runs_are_described(client, finished):
    small, plain, classes, *_ = client.get(PAGE).json()
    assert small["given"] == str(finished)
    assert small["trained"]["images"] == "160"
    assert (plain["height"], plain["width"], plain["channels"], plain["latent_dim"]) == (16, 20, 3, 6)
    assert plain["class_names"] == []
    assert classes["class_names"] == ["cat", "dog", "7"]
    grid = client.get("/api/runs/0/grid.png?images=160")
    assert grid.content.startswith(b"\x89PNG")
    log = client.get("/api/runs/0/log").json()
    assert [record["step"] for record in log["records"]] == [5, 10, 15, 20]
    assert log["grids"] == [64, 128, 160]


def test_what_is_no_run_is_refused(tmp_path, photos):
    for path, says in ((tmp_path / "no", "no such run"), (tmp_path, "not a run directory")):
        with pytest.raises(InputError, match=says):
            Opened(path)
    (tmp_path / "generator.safetensors").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="pickle"):
        Opened(tmp_path)


def test_a_weights_file_can_be_looked_at_but_not_written_to(finished):
    with client_of(finished / "generator.safetensors") as client:
        (shown,) = client.get(PAGE).json()
        assert not shown["directory"]
        box = {"number": 0, "top": 4, "left": 4, "height": 6, "width": 8}
        edit = client.post("/api/runs/0/forget", json={"boxes": [box]}).json()["id"]
        said = client.post(f"/api/runs/0/forget/{edit}/save", json={"name": "x"})
        assert "only a run directory" in said.json()["detail"]


def test_nothing_is_saved_through_a_link(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (run / "edited").symlink_to(tmp_path / "elsewhere")
    with client_of(run) as client:
        box = {"number": 0, "top": 4, "left": 4, "height": 6, "width": 8}
        edit = client.post("/api/runs/0/forget", json={"boxes": [box]}).json()["id"]
        assert client.post(f"/api/runs/0/forget/{edit}/save", json={"name": "x"}).status_code == 422
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_port_that_is_taken_is_said():
    with listen(0) as first:
        port = first.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} of 127.0.0.1 cannot be had"):
            listen(port)


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    paths = [tmp_path / name for name in ("a/faces", "b/faces", "c/a/faces", "b/digits")]
    assert names_apart(paths) == [f"{tmp_path.name}/a/faces", "b/faces", "c/a/faces", "digits"]
    assert names_apart([paths[0], paths[0]]) == ["faces", "faces"]
    assert names_apart([paths[3] / ".." / "digits\x1b"]) == ["digits\\x1b"]
    assert names_apart([Path("/")]) == ["/"]


def test_a_class_is_chosen_by_the_name_that_is_shown(tmp_path):
    names = ("new\u00a0york", "2", "family\u200d", "a" * 250 + "\x01", "1")
    generator = trained(Generator, **CLASSES | {"classes": 5})
    Generator(generator.network, replace(generator.info, class_names=names)).save_pretrained(tmp_path)
    with client_of(tmp_path) as client:
        shown = client.get("/api/runs").json()[0]["class_names"]
        assert shown[:3] == ["new\\xa0york", "2", "family\\u200d"]
        for index, name in enumerate(shown):
            answer = client.get("/api/runs/0/samples.png", params={"count": 2, "label": name})
            assert answer.status_code == 200, answer.text
            expected = generator.sample(2, seed=0, label=index)
            assert np.array_equal(images_of(answer.content, 2, (16, 20)), expected)
            unwanted = {"label": name, "boxes": [{"number": 0, "top": 4, "left": 4, "height": 6, "width": 8}]}
            assert client.post("/api/runs/0/forget", json=unwanted).status_code == 200
        assert client.get("/api/runs/0/samples.png", params={"count": 2, "label": "york"}).status_code == 422
