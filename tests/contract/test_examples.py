"""The examples of docs/edge.md, run as they stand there: they answer what the edge runtime answers."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import io
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from pipeline.edge.classes import CLASSES
from pipeline.edge.images import read_image
from pipeline.edge.runtime import RawOutput, Segmenter

ROOT = Path(__file__).resolve().parents[2]
PICTURE = "app/examples/night_highway.jpg"  # larger than the training size, of another aspect
NPM_PACKAGES = ("onnxruntime-node@1.30.0", "onnxruntime-web@1.30.0")
PATIENCE = 120  # seconds; machines that run tests may be busy


def example(language: str, mark: str) -> str:
    """The one code block of the page in that language that holds `mark`."""
    page = (ROOT / "docs" / "edge.md").read_text("utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S)
    (found,) = [block for block in blocks if mark in block]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds the shipped models and one picture."""
    (tmp_path / PICTURE).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / PICTURE, tmp_path / PICTURE)
    shutil.copytree(ROOT / "models" / "night", tmp_path / "models" / "night")
    return tmp_path


@pytest.fixture(scope="module")
def night() -> Segmenter:
    return Segmenter(ROOT / "models" / "night" / "mic.onnx")


@pytest.fixture(scope="module")
def expected(night: Segmenter) -> np.ndarray:
    """Class ids of the picture, uint8 (H, W), by the runtime that ships."""
    return night.segment(read_image(ROOT / PICTURE)).classes


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """onnxruntime for Node and for pages, installed once into .venv; a skip without Node."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node or npm on the PATH: install Node.js to run the JavaScript examples")
    installed = ROOT / ".venv" / "_".join(("node", *NPM_PACKAGES))
    if not installed.is_dir():
        installed.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=installed.parent, prefix=".node") as beside:
            new = Path(beside) / "new"
            # Its script would fetch CUDA libraries past npm's own settings for proxies and registries.
            command = [
                "npm",
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(new),
                *NPM_PACKAGES,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"npm cannot install {' '.join(NPM_PACKAGES)} here: {done.stderr.strip()[-300:]}")
            with contextlib.suppress(OSError):  # another run was first
                new.rename(installed)
    return installed / "node_modules"


@pytest.fixture
def scripts(folder: Path, node_modules: Path) -> Path:
    """The folder with the JavaScript examples and their packages."""
    (folder / "node_modules").symlink_to(node_modules, target_is_directory=True)
    (folder / "segment.mjs").write_text(example("js", "export async function segment"))
    (folder / "file.mjs").write_text(example("js", "onnxruntime-node"))
    (folder / "index.html").write_text(example("html", "onnxruntime-web"))
    return folder


@pytest.fixture
def address(scripts: Path) -> Iterator[str]:
    """Where a web server of this machine serves the folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(scripts))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def agreement(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float((found == expected).mean())


def test_python(folder: Path, expected: np.ndarray) -> None:
    (folder / "example.py").write_text(example("python", "import onnxruntime"))
    subprocess.run([sys.executable, "example.py"], cwd=folder, check=True, timeout=PATIENCE)
    assert agreement(np.asarray(Image.open(folder / "classes.png")), expected) >= 0.999


def test_segmenter(folder: Path, expected: np.ndarray) -> None:
    script = example("python", "from pipeline.edge import Segmenter")
    (folder / "example.py").write_text(script + "import numpy\nnumpy.save('classes.npy', result.classes)\n")
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=folder,
        check=True,
        timeout=PATIENCE,
        capture_output=True,
        text=True,
    )
    assert re.fullmatch(r"\d+\.\d% road, confidence 0\.\d\d\n", done.stdout)
    assert agreement(np.load(folder / "classes.npy"), expected) == 1


@pytest.mark.parametrize("package", ["onnxruntime-node", "onnxruntime-web"])
def test_javascript_in_node(scripts: Path, expected: np.ndarray, package: str) -> None:
    script = scripts / "file.mjs"
    script.write_text(script.read_text().replace("onnxruntime-node", package))
    image = Image.fromarray(read_image(ROOT / PICTURE)).convert("RGBA")
    (scripts / "picture.rgba").write_bytes(image.tobytes())
    command = ["node", "file.mjs", "picture.rgba", str(image.width), str(image.height)]
    subprocess.run(command, cwd=scripts, check=True, timeout=PATIENCE)
    classes = np.frombuffer((scripts / "classes.bin").read_bytes(), np.uint8).reshape(expected.shape)
    assert agreement(classes, expected) >= 0.999


def test_javascript_in_a_page(address: str, chromium: str, expected: np.ndarray) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(address)
        page.wait_for_function("document.querySelector('input').onchange !== null")
        page.set_input_files("input", ROOT / PICTURE)
        page.wait_for_selector("canvas")
        png = base64.b64decode(
            page.evaluate("document.querySelector('canvas').toDataURL()").partition(",")[2]
        )
        browser.close()
    painted = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    palette = np.array([c.rgb for c in CLASSES], np.uint8)
    assert (painted == palette[expected]).all(axis=-1).mean() >= 0.999


def test_cpp(folder: Path, night: Segmenter) -> None:
    """Compiled against a stand-in for onnxruntime's header, whose network mixes the channels of each pixel."""
    compiler = shutil.which("c++")
    if not compiler:
        pytest.skip("no c++ on the PATH: install a C++ compiler to compile the C++ example")
    (folder / "segment.cpp").write_text(example("cpp", "onnxruntime_cxx_api.h"))
    warnings = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    command = [compiler, *warnings, "-O1", "-I", str(Path(__file__).parent), "segment.cpp", "-o", "segment"]
    subprocess.run(command, cwd=folder, check=True, timeout=PATIENCE)
    image = read_image(ROOT / PICTURE)
    for picture in (image, image.transpose(1, 0, 2).copy(), image[:101, :37].copy()):
        height, width = picture.shape[:2]
        program = [str(folder / "segment"), str(height), str(width)]
        done = subprocess.run(program, input=picture.tobytes(), capture_output=True, check=True)
        classes = np.frombuffer(done.stdout, np.uint8).reshape(height, width)
        prepared = night.prepare(picture)
        mixed = (prepared.pixels[0].astype(int) @ [1, 3, 7] % 19).astype(np.uint8)
        expected = night.finish(RawOutput(mixed, mixed[::4, ::4], prepared, 0)).classes
        assert np.array_equal(classes, expected)
