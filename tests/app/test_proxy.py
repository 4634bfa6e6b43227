"""Behind a proxy that shows the page below a path."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright
from running_page import Running, free_port, running

PATIENCE = 120_000
CONFIGURATION = "cases/page/nginx_no_root_path.conf"


@pytest.fixture(scope="module", params=["option", "variable", "gradio's variable"])
def behind(
    request: pytest.FixtureRequest, model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A page that knows its path."""
    folder = tmp_path_factory.mktemp("behind")
    options = ["--root-path", "/mic/"] if request.param == "option" else []
    variables = {
        "variable": {"MIC_ADAPT_ROOT_PATH": "/mic"},
        "gradio's variable": {"GRADIO_ROOT_PATH": "/mic"},
    }
    with running(model_folder, folder, *options, variables=variables.get(request.param)) as page:
        yield page


@pytest.fixture(scope="module")
def proxied(behind: Running, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's address at an nginx of the given configuration, on free ports."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx:
        pytest.skip("no nginx here")
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    text = (shared / CONFIGURATION).read_text("utf-8")
    text = text.replace("127.0.0.1:7902", behind.url.split("/")[2]).replace(
        "127.0.0.1:7910", f"127.0.0.1:{port}"
    )
    (folder / "nginx.conf").write_text(text)
    user = (
        " user root;" if hasattr(os, "getuid") and os.getuid() == 0 else ""
    )  # else its workers may not enter `folder`
    with (folder / "output").open("w") as output:
        proxy = subprocess.Popen(
            [nginx, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr", "-g", f"daemon off;{user}"],
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}/mic/"
    try:
        for _ in range(600):
            try:
                httpx.get(url, timeout=60)
                break
            except httpx.TransportError:
                assert proxy.poll() is None, (folder / "output").read_text()
                time.sleep(0.1)
        yield url
    finally:
        proxy.terminate()
        proxy.wait(30)


def test_styled_and_answering_through_the_proxy(proxied: str, chromium: str, photo: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        refused: list[str] = []
        page.on("response", lambda r: refused.append(r.url) if r.status >= 400 else None)
        page.on(
            "request",
            lambda r: refused.append(r.url) if not r.url.startswith((proxied, "data:", "blob:")) else None,
        )
        page.goto(proxied)
        expect(page.locator("#slider img")).to_have_count(2, timeout=PATIENCE)
        page.locator("#picture input[type=file]").first.set_input_files(photo)
        expect(page.locator("#timing")).to_contain_text("ramp.png, 320 × 200", timeout=PATIENCE)
        page.wait_for_function(
            "[...document.querySelectorAll('#slider img')].every((i) => i.naturalWidth > 0)"
        )
        assert page.evaluate("getComputedStyle(document.querySelector('.head h1')).fontWeight") == "650"
        assert page.evaluate("getComputedStyle(document.querySelector('#desk')).display") == "flex"
        browser.close()
    assert refused == []


def test_a_proxy_may_leave_the_path_in_and_nobody_needs_one(behind: Running) -> None:
    for url in (behind.url, f"{behind.url}mic/", f"{behind.url}mic"):
        reply = httpx.get(url, timeout=60)
        assert reply.status_code == 200
        assert "mic-adapt" in reply.text
    assert httpx.get(f"{behind.url}mic/config", timeout=60).json()["root"].endswith("/mic")
    assert httpx.get(f"{behind.url}microphone/", timeout=60).status_code == 404
