"""Nothing phones home and nothing is written elsewhere: by mic-edge, the page, and every stage under `dvc repro`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from gradio_client import Client, handle_file
from PIL import Image
from watched import Watched, can_trace

from pipeline.run.privacy import SWITCHES, keep_private

ROOT = Path(__file__).resolve().parents[2]
NIGHT = ROOT / "models" / "night"
PICTURE = ROOT / "app" / "examples" / "night_highway.jpg"
PATIENCE = 400  # seconds; strace slows a start by a factor, and machines that run tests may be busy


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with tempfile.TemporaryDirectory() as temporary:
        yield Watched(tmp_path / "watched", Path(temporary))


def only_the_stand_in() -> None:
    if not can_trace():
        pytest.skip("Python's own calls were watched, native ones not: no strace here, or it may not trace")


def test_the_stand_in_and_strace_see_what_they_are_for(watched: Watched) -> None:
    python = "import socket, os\ntry: socket.create_connection(('192.0.2.1', 9), 1)\nexcept OSError: pass\n"
    python += "try: socket.getaddrinfo('mic-adapt.invalid', 80)\nexcept OSError: pass\n"
    python += "open(os.path.expanduser('~/mark'), 'w').close()\n"
    watched.run(watched.root, sys.executable, "-c", python)
    assert watched.called() == ["connect ('192.0.2.1', 9)", "look-up of mic-adapt.invalid"] or can_trace()
    assert "look-up of mic-adapt.invalid" in watched.called()
    assert watched.made() == {str(watched.home / "mark")}
    only_the_stand_in()
    # What no stand-in in Python can see: -S leaves sitecustomize.py out.
    native = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.7', 443))"
    watched.run(watched.root, sys.executable, "-S", "-c", native)
    assert "192.0.2.7 port 443" in watched.called()


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_predict(watched: Watched, tmp_path: Path, provider: str) -> None:
    if provider == "openvino":
        pytest.importorskip("openvino_telemetry", reason="OpenVINO is not installed")
    out = tmp_path / "out"
    command = (sys.executable, "-m", "pipeline.edge.cli", "predict", PICTURE, "--model", NIGHT / "mic.onnx")
    watched.run(ROOT, *command, "--out", out, "--provider", provider)
    assert len(list(out.glob("night_highway*"))) == 3
    assert (watched.called(), watched.made(out)) == ([], set())
    only_the_stand_in()


@pytest.mark.parametrize("command", ["info", "verify", "bench"])
def test_what_only_reads_writes_nothing_at_all(watched: Watched, tmp_path: Path, command: str) -> None:
    options = ("--runs", "1", "--size", "32x64") if command == "bench" else ()
    (tmp_path / "cwd").mkdir()
    watched.run(
        tmp_path / "cwd", sys.executable, "-m", "pipeline.edge.cli", command, NIGHT / "mic.onnx", *options
    )
    assert (watched.called(), watched.made(), list((tmp_path / "cwd").iterdir())) == ([], set(), [])
    only_the_stand_in()


def test_the_page(watched: Watched, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = watched.command(sys.executable, "-m", "app", "--models", NIGHT, "--port", str(port))
    log = tmp_path / "page.log"
    with log.open("w") as output:
        page = subprocess.Popen(command, cwd=ROOT, env=watched.environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(url, timeout=PATIENCE).close()
                break
            except OSError:
                assert page.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
        client = Client(url, verbose=False, download_files=False, analytics_enabled=False)
        client.predict(handle_file(PICTURE), "mic", api_name="/segment")
    finally:
        page.terminate()
        page.wait(60)
    # gradio keeps a seed beside its own code.
    made = {path for path in watched.made(Path(sys.prefix)) if not path.startswith(str(watched.temporary))}
    assert (watched.called(), made) == ([], set())
    only_the_stand_in()


@pytest.mark.timeout(1500)
def test_every_stage_and_dvc_itself(watched: Watched, tiny_project: Path) -> None:
    watched.run(tiny_project, Path(sys.executable).with_name("dvc"), "repro")
    assert (tiny_project / "report" / "index.html").is_file()
    assert (watched.called(), watched.made(tiny_project)) == ([], set())
    only_the_stand_in()


@pytest.fixture
def tiny_project(tmp_path: Path) -> Path:
    """A clone with a few small pictures, git and DVC, that trains two methods for two steps."""
    root = tmp_path / "project"
    for name in ("pipeline", ".dvc"):
        ignored = shutil.ignore_patterns("__pycache__", "tmp", "cache", "config.local")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copyfile(ROOT / name, root / name)
    rng = np.random.default_rng(0)
    for name in ("day", "night"):
        for split, count in (("train", 4), ("val", 2)):
            for kind, values in (("images", (32, 48, 3)), ("labels", (32, 48))):
                (root / name / split / kind).mkdir(parents=True)
                for n in range(count):
                    pixels = rng.integers(0, 200 if kind == "images" else 3, values, np.uint8)
                    Image.fromarray(pixels).save(root / name / split / kind / f"{n}.png")

    def domain(name: str, **more: Any) -> dict[str, Any]:
        splits = {s: {"images": f"{s}/images", "labels": f"{s}/labels"} for s in ("train", "val")}
        id_map = {0: "road", 1: "building", 2: "sky"}
        return {"format": "folders", "root": name, "id_map": id_map, **splits, **more}

    params = {
        "seed": 0,
        "methods": ["source_only", "mic"],
        "students": [],
        "data": {"source": domain("day"), "target": domain("night", condition="night"), "size": [32, 64]},
        "network": {"architecture": "fpn", "encoder": "tu-test_resnet"},
        "train": {
            "steps": 2,
            "batch_size": 2,
            "crop": [32, 32],
            "workers": 1,
            "optimiser": {"lr": 0.001},
            "uda": {"mask_block": 16},
        },
        "distil": None,
        "ship": "student",
        "evaluate": {"bootstrap": 100, "pictures": 1},
        "export": {},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@example.invalid")
    for command in (("git", "init", "-q"), ("git", "add", "-A"), (*git, "commit", "-q", "-m", "Start")):
        subprocess.run(command, cwd=root, check=True)
    return root


def test_what_a_person_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SWITCHES:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    keep_private()
    assert {name: os.environ[name] for name in SWITCHES} == SWITCHES | {"ORT_DISABLE_TELEMETRY": "0"}
