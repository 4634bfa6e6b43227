"""The page: one request of a client against the two model runs inside it."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from pipeline.bench.clip import EXAMPLES, NIGHT_MODEL
from pipeline.bench.row import Row

BUDGET, LONG_SIDE, ROUNDS = 1.25, 1280, 5
PATIENCE_S = 90.0  # for the page to start, and for each answer


def rows() -> list[Row]:
    """A request to /compare with a picture of 1280 pixels; the page's own night models answer."""
    try:
        from gradio_client import Client, handle_file
    except ImportError:
        return [Row("page", None, BUDGET, "not measured: gradio is not installed")]
    if not NIGHT_MODEL.exists():
        return [Row("page", None, BUDGET, f"not measured: there is no {NIGHT_MODEL.parent}")]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "app", "--models", str(NIGHT_MODEL.parent), "--port", str(port)]
    page = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, page)
        with tempfile.TemporaryDirectory() as folder:
            picture = handle_file(str(enlarged(Path(folder))))
            client = Client(
                f"http://127.0.0.1:{port}", verbose=False, download_files=folder,
                httpx_kwargs={"timeout": PATIENCE_S},
                ssl_verify=False,  # plain HTTP, for which it would still read all certificates, 25 ms a call
            )  # fmt: skip
            requests, networks = zip(*(asked(client, picture) for _ in range(1 + ROUNDS)), strict=True)
    finally:
        page.terminate()
        page.wait()
    request, network = median(requests[1:]), median(networks[1:])
    detail = f"request {request:.0f} ms at {LONG_SIDE} px, its two model runs {network:.0f} ms"
    return [Row("page", request / network, BUDGET, detail)]


def wait_for(port: int, page: subprocess.Popen[bytes]) -> None:
    """Until the page answers; raises RuntimeError where it ends or takes too long."""
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE_S and page.poll() is None:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the page did not start on port {port} within {PATIENCE_S:.0f} s")


def enlarged(folder: Path) -> Path:
    """An example of the page, LONG_SIDE wide."""
    with Image.open(min(EXAMPLES.glob("night*.jpg"))) as picture:
        height = round(picture.height * LONG_SIDE / picture.width)
        picture.resize((LONG_SIDE, height)).save(folder / "picture.jpg", quality=90)
    return folder / "picture.jpg"


def asked(client: Any, picture: Any) -> tuple[float, float]:
    """Milliseconds of one request as the client sees it, and of session.run in both its models."""
    started = time.perf_counter()
    *_, facts = client.predict(picture, api_name="/compare")
    taken = 1000 * (time.perf_counter() - started)
    return taken, sum(facts["milliseconds"][side]["network"] for side in ("before", "after"))
