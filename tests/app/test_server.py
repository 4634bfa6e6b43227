"""The server under load and at its end: bounded memory, no file left, whatever ends it."""

from __future__ import annotations

import select
import signal
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from running_page import ROOT, Running, running

from app.limits import MAX_PIXELS

PATIENCE = httpx.Timeout(300)
AT_ONCE = 20
MAX_MEMORY = 1.5e9


@pytest.fixture
def page(model_folder: Path, tmp_path: Path) -> Iterator[Running]:
    """A page of its own, whose memory no other test has used."""
    with running(model_folder, tmp_path) as running_page:
        yield running_page


def png(path: Path, width: int, height: int) -> Path:
    """An RGBA picture in few bytes, written without ever being held."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    row = b"\x00" + bytes(range(64)) * (width // 16 + 1)
    data = b"".join(packer.compress(row[: 1 + 4 * width]) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def asked(page: Running, picture: Path) -> str:
    """What /compare says of a picture, all by gradio's own way: upload, call, stream."""
    with httpx.Client(timeout=PATIENCE) as client:
        uploaded = client.post(
            f"{page.url}gradio_api/upload", files={"files": (picture.name, picture.read_bytes())}
        )
        call = f"{page.url}gradio_api/call/compare"
        reply = client.post(call, json={"data": [{"path": uploaded.json()[0]}]})
        return client.get(f"{call}/{reply.json()['event_id']}").text


def asked_at_once(page: Running, picture: Path) -> list[str]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda _: asked(page, picture), range(AT_ONCE)))


@pytest.mark.parametrize("case", ["drawn", "reported"])
def test_pictures_beyond_the_limit_are_refused_undecoded(
    page: Running, tmp_path: Path, case: str, request: pytest.FixtureRequest
) -> None:
    if case == "drawn":
        picture = png(tmp_path / "mp177.png", 13_300, 13_300)
    else:
        picture = request.getfixturevalue("shared") / "cases" / "page" / "mp177rgba.png"
    before = page.memory()
    for said in asked_at_once(page, picture):
        assert f"{picture.name} has 13300 x 13300 pixels, above 64 megapixels: make it smaller first." in said
    assert page.memory("VmHWM") < before + 200e6
    assert httpx.get(page.url).status_code == 200


def test_the_largest_pictures_at_once_stay_below_the_bound(page: Running, tmp_path: Path) -> None:
    picture = png(tmp_path / "mp64.png", 8000, MAX_PIXELS // 8000)
    for said in asked_at_once(page, picture):
        assert "event: complete" in said
    assert page.memory("VmHWM") < MAX_MEMORY
    assert httpx.get(page.url).status_code == 200


def test_memory_is_flat_over_two_hundred_requests(page: Running) -> None:
    pictures = sorted((ROOT / "app" / "examples").glob("*.jpg"))
    first = 0
    for number in range(200):
        assert "event: complete" in asked(page, pictures[number % len(pictures)])
        if number == 20:
            first = page.memory()
    assert page.memory() < 1.1 * first


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_nothing_is_left_whatever_ends_it(model_folder: Path, tmp_path: Path, photo: Path, name: str) -> None:
    """With a result kept, an upload half sent, and a stream that a browser holds open; nor in HOME."""
    if not hasattr(signal, name):
        pytest.skip(f"no {name} here")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    places: dict[str, str] = dict.fromkeys(
        ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(elsewhere)
    )
    with running(model_folder, tmp_path, variables=places) as page:
        assert "event: complete" in asked(page, photo)
        address = httpx.URL(page.url)
        with socket.create_connection((address.host, address.port or 0)) as half, httpx.Client() as browser:
            half.sendall(
                b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
                b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
                b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
                + bytes(50_000)
            )
            with browser.stream("GET", f"{page.url}gradio_api/heartbeat/x", timeout=PATIENCE) as stream:
                threading.Thread(target=lambda: list(stream.iter_raw()), daemon=True).start()
                page.process.send_signal(getattr(signal, name))
                page.process.wait(60)
        assert page.process.returncode in (0, -getattr(signal, name))
        assert list(page.temp.iterdir()) == []
        assert list(elsewhere.rglob("*")) == []


def _whole(connection: socket.socket) -> bytes:
    """An answer up to the length that it states."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += connection.recv(2000)
    head, _, body = said.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split()[0])
    while len(body) < length:
        body += connection.recv(2000)
    return head + body


def test_too_many_uploads_on_their_way_are_told_so(page: Running, photo: Path) -> None:
    """Ten of a hundred megabytes each are let in; the eleventh is not, nor does it wait."""
    address = httpx.URL(page.url)
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {100 * 1024**2}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    waiting = [socket.create_connection((address.host, address.port or 0)) for _ in range(11)]
    for connection in waiting:
        connection.sendall(head.encode() + b"--b\r\n")
    answered = select.select(waiting, [], [], 60)[0]
    said = [_whole(connection) for connection in answered]
    for connection in waiting:
        connection.close()
    assert len(said) == 1
    assert b"503" in said[0].split(b"\r\n")[0]
    assert b"Too many pictures" in said[0]
    assert "event: complete" in asked(page, photo)  # those that broke off no longer count
