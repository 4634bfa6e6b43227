"""No request reads a file or an address that it should not, and no malformed one gets anything but a sentence."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from running_page import Running

from app.uploads import NOT_HERE

META = {"_type": "gradio.FileData"}
PATIENCE = httpx.Timeout(120)


@pytest.fixture
def outside() -> Iterator[httpx.Client]:
    """A client that never loaded the page."""
    with httpx.Client(timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def visitor(served: Running) -> Iterator[httpx.Client]:
    """A client that loaded the page, as browsers do."""
    with httpx.Client(timeout=PATIENCE) as client:
        client.get(served.url)
        yield client


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is not the page's."""
    path = tmp_path_factory.mktemp("elsewhere") / "secret.jpg"
    Image.effect_noise((64, 64), 60).convert("RGB").save(path)
    return path


def events(served: Running) -> list[dict[str, Any]]:
    return httpx.get(served.url + "config", timeout=PATIENCE).json()["dependencies"]


def answers(client: httpx.Client, url: str, reply: httpx.Response, session: str | None = None) -> str:
    """All that a call says in the end: the refusal, or the stream of its event."""
    if reply.status_code != 200:
        return reply.text
    where = f"queue/data?session_hash={session}" if session else f"call/compare/{reply.json()['event_id']}"
    return client.get(f"{url}gradio_api/{where}").text


def paths(secret: Path, served: Running) -> dict[str, Any]:
    folder = served.folders()[0]
    link = folder / "linked.jpg"
    if not link.is_symlink():
        link.symlink_to(secret)
    return {
        "absolute": str(secret),
        "missing": str(secret.with_name("missing.jpg")),
        "climbing": f"{folder}/../../../../../../../..{secret}",
        "linked": str(link),
        "folder": str(folder),
        "lock": str(folder / "in_use"),
        "source": "app/page.py",
        "example": "app/examples/day_hills.jpg",
        "address": "http://127.0.0.1:1/a.jpg",
        "file address": f"file://{secret}",
        "data": "data:image/png;base64,iVBORw0KGgo=",
        "null byte": f"{secret}\x00.jpg",
        "long": "/a" * 20_000,
        "surrogate": "\ud800",
        "empty": "",
        "list": [str(secret)],
        "number": 7,
        "device": "/dev/zero",
    }


def shapes(path: Any) -> list[Any]:
    record = {"path": path}
    return [
        record,
        {**record, "meta": META},
        {**record, "meta": {"_type": "other"}, "orig_name": "harmless.jpg", "is_stream": True},
        {"url": path, "meta": META},
        {"path": None, "url": path, "meta": META},
        {"image": record},
        {"path": record},
        [record],
        path,
    ]


def test_no_file_outside_the_uploads_is_read(
    served: Running, secret: Path, outside: httpx.Client, visitor: httpx.Client
) -> None:
    joins = events(served)
    private = next(
        e for e in joins if e["api_visibility"] == "private" and any(t[1] == "change" for t in e["targets"])
    )
    said: dict[str, set[str]] = {}
    for kind, path in paths(secret, served).items():
        for shape in shapes(path):
            body = json.dumps({"data": [shape]})
            reply = outside.post(f"{served.url}gradio_api/call/compare", content=body)
            texts = [answers(outside, served.url, reply)]
            data = [shape, "source_only", "mic", 0, "Cityscapes", False][: len(private["inputs"])]
            join = {"fn_index": private["id"], "session_hash": "x1", "data": data}
            for client in (outside, visitor):
                reply = client.post(f"{served.url}gradio_api/queue/join", content=json.dumps(join))
                assert reply.status_code in (400, 403, 413), (kind, shape)
                texts.append(reply.text)
            for text in texts:
                assert "Traceback" not in text
                assert ".jpg" not in text.replace("harmless.jpg", "")
                assert '"error": null' not in text
                assert "complete" not in text
            said.setdefault(kind, set()).update(texts)
    assert said["absolute"] == said["missing"] == said["linked"] == said["source"]
    assert NOT_HERE in "".join(said["absolute"])


def test_the_reported_attack_gets_nothing(served: Running, secret: Path, outside: httpx.Client) -> None:
    """cases/page/read_any_picture.py: a public and a private function, without `meta`."""
    api = served.url + "gradio_api"
    assert outside.post(f"{api}/call/compare", json={"data": [{"path": str(secret)}]}).status_code == 400
    data = [{"path": str(secret)}, "photo", "mic", 0, "Cityscapes", False]
    join = {"fn_index": 0, "session_hash": "x1", "data": data}
    assert outside.post(f"{api}/queue/join", json=join).status_code == 403
    assert "process_completed" not in outside.get(f"{api}/queue/data", params={"session_hash": "x1"}).text


def test_the_reported_script_gets_nothing(
    served: Running, secret: Path, shared: Path, tmp_path: Path
) -> None:
    script = shared / "cases" / "page" / "read_any_picture.py"
    out = tmp_path / "out.jpg"
    command = [sys.executable, str(script), served.url.rstrip("/"), str(secret), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert not out.exists()
    assert "complete" not in done.stdout
    assert "_photo.jpg" not in done.stdout


def test_private_functions_refuse_whoever_never_loaded_the_page(
    served: Running, outside: httpx.Client
) -> None:
    private = [e for e in events(served) if e["api_visibility"] != "public"]
    assert len(private) >= 8
    for event in private:
        body = {"fn_index": event["id"], "session_hash": "x2", "data": [None] * len(event["inputs"])}
        for cookie in (None, "mic_adapt_page=", "mic_adapt_page=guessed", 'mic_adapt_page="\\'):
            headers = {} if cookie is None else {"cookie": cookie}
            reply = outside.post(f"{served.url}gradio_api/queue/join", json=body, headers=headers)
            assert reply.status_code == 403
            assert "belongs to the page" in reply.json()["detail"]
        name = event["api_name"]
        for route in ("call", "run", "api", "call/v2"):
            reply = outside.post(f"{served.url}gradio_api/{route}/{name}", json=body)
            assert reply.status_code in (400, 404)


def test_an_upload_is_read_through_its_private_function(
    served: Running, visitor: httpx.Client, photo: Path
) -> None:
    """What the refusals above are worth: the same call with a picture of one's own is answered."""
    with photo.open("rb") as file:
        path = visitor.post(
            f"{served.url}gradio_api/upload", files={"files": ("../../x\x00/<b>.png", file)}
        ).json()[0]
    assert Path(path).is_relative_to(served.folders()[0])
    private = next(e for e in events(served) if any(t[1] == "change" for t in e["targets"]))
    data = [{"path": path}, "source_only", "mic", 55, "Cityscapes", False]
    if len(private["inputs"]) == 4:  # a pair without a choice of sides
        data = [data[0], *data[3:]]
    join = {"fn_index": private["id"], "session_hash": "mine", "data": data}
    reply = visitor.post(f"{served.url}gradio_api/queue/join", json=join)
    assert '"success":true' in answers(visitor, served.url, reply, "mine")


def test_no_address_is_fetched(served: Running, outside: httpx.Client, visitor: httpx.Client) -> None:
    asked: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    other = HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{other.server_port}/picture.png"
    try:
        api = served.url + "gradio_api"
        for route in (f"proxy={address}", f"file={address}", f"file/{address}", f"stream/{address}"):
            assert outside.get(f"{api}/{route}").status_code >= 400
        for shape in shapes(address):
            outside.post(f"{api}/call/segment", json={"data": [shape, "mic"]})
            outside.post(f"{api}/run/segment", json={"data": [shape, "mic"]})
            for event in events(served):
                data = [shape] * len(event["inputs"])
                visitor.post(
                    f"{api}/queue/join", json={"fn_index": event["id"], "session_hash": "z", "data": data}
                )
    finally:
        other.shutdown()
        other.server_close()
    assert asked == []


@pytest.mark.parametrize(
    "route",
    [
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=app/page.py",
        "gradio_api/file={folder}/../../../../../../../etc/passwd",
        "gradio_api/file={folder}/in_use",
        "gradio_api/file={folder}",
        "gradio_api/file=%00",
        "gradio_api/file/etc/passwd",
        "static/../../../../etc/passwd",
        "assets/..%2f..%2f..%2fetc/passwd",
        "gradio_api/component_server",
        "gradio_api/custom_component/a/client/component/index.js",
        "gradio_api/dev/reload",
        "gradio_api/deep_link?session_hash=x",
        "monitoring",
        "monitoring/summary",
        "gradio_api/runs",
        "gradio_api/token",
        "login",
        "docs",
        "openapi.json",
    ],
)
def test_what_the_page_does_not_need_is_closed(served: Running, outside: httpx.Client, route: str) -> None:
    where = served.url + route.format(folder=served.folders()[0])
    for method in ("GET", "POST", "PUT", "DELETE"):
        reply = outside.request(method, where)
        assert reply.status_code in (400, 403, 404, 405)
        assert reply.json()["detail"].endswith(".")


FORMS = [
    b"",
    b"--b--",
    b"--b\r\n\r\n--b--\r\n",
    b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--b--\r\n',
    b'--b\r\nContent-Disposition: form-data; name="files"; filename=".."\r\n\r\nx\r\n--b--\r\n',
    b'--b\r\nContent-Disposition: form-data; name="other"; filename="a.png"\r\n\r\nx\r\n--b--\r\n',
    b"Content-Disposition: \xff\r\n\r\n",
]


@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
@pytest.mark.parametrize("boundary", ["; boundary=b", "", "; boundary=", '; boundary="b', "; boundary=\xff"])
def test_forms_that_are_no_upload_are_refused(
    served: Running, outside: httpx.Client, form: bytes, boundary: str
) -> None:
    headers = {"content-type": ("multipart/form-data" + boundary).encode("latin-1")}
    url = f"{served.url}gradio_api/upload"
    reply = outside.post(url, content=form, headers=headers)  # type: ignore[arg-type]  bytes for httpx too
    assert reply.status_code in (200, 400, 422), reply.text
    assert reply.text == "[]" or re.fullmatch(r"[A-Z][^\n]{8,300}\.", reply.text)
    assert "Error" not in served.log.read_text()


QUERIES = ["page=%00", "page=%ff&view=api", "deep_link=..%2f..%2fetc", "__theme=dark", "a" * 5000]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("route", ["", "config", "theme.css", "gradio_api/info"])
def test_no_query_changes_what_is_read(
    served: Running, outside: httpx.Client, route: str, query: str
) -> None:
    assert outside.get(f"{served.url}{route}?{query}").status_code == 200


ODD: list[Any] = [
    None, True, -1, 10**400, 1e308, "", "a" * 3000, "\x00", "\ud800", [], {}, [[]], {"path": {}}, {"_type": 1},
    {"index": -1}, {"__proto__": {}}, "mic", "Cityscapes", 0, 3.5, [None] * 50,
]  # fmt: skip


def malformed(
    chance: random.Random, functions: list[int], names: list[str]
) -> tuple[str, str, dict[str, Any]]:
    """One request that is wrong somewhere: (method, path, what httpx sends)."""

    def odd() -> Any:
        return chance.choice(ODD)

    def body() -> dict[str, Any]:
        fields: dict[str, Any] = {
            "data": chance.choice([odd(), [odd() for _ in range(chance.randrange(8))]]),
            "fn_index": chance.choice([*functions, odd(), 10**9]),
            "session_hash": chance.choice(["fuzz", odd()]),
            "event_data": odd(),
            "trigger_id": odd(),
            "event_id": odd(),
            "batched": odd(),
            "simple_format": odd(),
        }
        return {key: fields[key] for key in fields if chance.random() < 0.8}

    name = chance.choice([*names, "load", "none", "%00", "a" * 500, "../x"])
    paths = [
        "gradio_api/queue/join", "gradio_api/queue/join", f"gradio_api/call/{name}", f"gradio_api/call/{name}",
        f"gradio_api/run/{name}", f"gradio_api/call/v2/{name}", f"gradio_api/api/{name}", "gradio_api/cancel",
        "gradio_api/reset", "gradio_api/upload", "gradio_api/upload?upload_id=u", "gradio_api/component_server",
        f"gradio_api/stream/{name}", "gradio_api/process_recording", "login", "gradio_api/vibe-edit",
        f"gradio_api/call/{name}/{chance.randrange(9)}", "gradio_api/queue/data",
        "gradio_api/queue/data?session_hash=%00", "gradio_api/queue/data?session_hash=none", f"gradio_api/file={name}",
        "config?page=%ff", "gradio_api/info?all_endpoints=1&page=7", "gradio_api/heartbeat/a/b",
        "gradio_api/queue/status/x",
        "?deep_link=../../x", "%2e%2e/%2e%2e/etc/passwd", "gradio_api/custom_component/1/2/3/4",
    ]  # fmt: skip
    path = chance.choice(paths)
    reads = any(
        word in path
        for word in ("data", "file=", "progress", "config", "info", "heartbeat", "?deep", "%2e", "/status")
    )
    method = (
        "GET" if reads else chance.choice(["POST"] * 9 + ["GET", "PUT", "PATCH", "DELETE", "HEAD", "BREW"])
    )
    text = json.dumps(body()).encode()
    deep = 50_000
    contents = [
        text, text, text, text, text[: chance.randrange(len(text))], b"", b"null", b"[]", b'"a"', b"NaN", b"\xff\xfe",
        b"[" * deep, b'{"data":' * deep, b'{"data": [NaN, Infinity], "session_hash": "f"}', b"1" * 10_000,
        b'{"data": []}' + b" " * 70_000, b"--b\r\n\r\n--b--",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--b--\r\n',
    ]  # fmt: skip
    kinds = [
        "application/json",
        "application/json",
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=b",
        "",
    ]
    headers = {"content-type": chance.choice(kinds)}
    if chance.random() < 0.1:
        headers |= {
            "x-forwarded-host": "a b[",
            "x-forwarded-proto": "\\",
            "origin": "null",
            "range": "bytes=9-1",
        }
    return method, path, {"headers": headers, "content": None if reads else chance.choice(contents)}


def test_malformed_requests_get_a_sentence_each(
    served: Running, outside: httpx.Client, visitor: httpx.Client
) -> None:
    """300 drawn from a seed; a request that happens to be right may be answered, and is followed to its end."""
    chance = random.Random(13)
    functions = [e["id"] for e in events(served)]
    refused = 0
    for number in range(300):
        method, path, sent = malformed(chance, functions, ["segment", "compare"])
        client = visitor if number % 2 else outside
        with client.stream(method, served.url + path, **sent) as reply:
            text = reply.read().decode("utf-8", "replace")
        what = f"request {number}: {method} {path} {str(sent)[:300]} -> {reply.status_code} {text[:300]}"
        assert "Traceback" not in text, what
        assert not re.search(r'"error"\s*:\s*null', text), what
        if reply.status_code >= 400:
            refused += 1
            assert reply.status_code != 500, what
            said = reply.json()["detail"] if "json" in reply.headers["content-type"] and text else text
            assert method == "HEAD" or re.fullmatch(r"[A-Z][^\n]{8,300}\.", said), what
        elif method == "POST" and text.startswith('{"event_id"'):
            stream = client.get(f"{served.url}gradio_api/call/segment/{reply.json()['event_id']}").text
            assert not re.search(r'"error"\s*:\s*null|data: null|Traceback', stream), what + stream
    assert refused > 200
    log = served.log.read_text()
    assert "Traceback" not in log
    assert "Exception" not in log


def test_every_input_of_the_page_has_a_rule(served: Running) -> None:
    """A component that gets no rule in app/bodies.py could not be used: this fails first."""
    config = httpx.get(served.url + "config", timeout=PATIENCE).json()
    kinds = {c["id"]: c["type"] for c in config["components"]}
    used = {kinds[i] for e in config["dependencies"] for i in e["inputs"]}
    assert used <= {"state", "image", "radio", "dropdown", "checkbox", "slider"}
