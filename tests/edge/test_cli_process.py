"""mic-edge as a process: signals, closed pipes, providers, and what it imports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.edge.log import LOG

ROOT = Path(__file__).resolve().parents[2]
ALL = "overlay,index,confidence,json"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "street"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (90, 60), (250, 0, 0)).save(folder / name)
    return folder


def test_cuda_without_cuda_is_one_sentence_and_exit_code_4(tmp_path: Path, tiny_model: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    command = [sys.executable, "-m", "pipeline.edge.cli", "predict", str(tmp_path / "a.png")]
    done = subprocess.run(
        [*command, "--model", str(tiny_model), "--out", str(tmp_path / "out"), "--provider", "cuda"],
        cwd=ROOT,
        env={"CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith("error: Provider cuda ")
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_interrupt_leaves_only_whole_results(tmp_path: Path, tiny_model: Path) -> None:
    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    Image.fromarray(noise).save(folder / "000.jpg")
    for i in range(1, 400):
        (folder / f"{i:03}.jpg").symlink_to(folder / "000.jpg")
    command = [sys.executable, "-m", "pipeline.edge.cli", "predict", str(folder), "--model", str(tiny_model)]
    command += ["--out", str(out), "--save", ALL]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores Ctrl-C, and so would what these tests start from one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "interrupted: the results written so far are complete; the same command does the rest.\n"
    records = [first, *map(json.loads, rest.splitlines())]
    assert len(records) < 400
    assert {p for r in records for p in r["outputs"].values()} == {
        str(p) for p in out.iterdir() if p.name != LOG
    }
    for record in records:
        assert np.array(Image.open(record["outputs"]["overlay"])).shape == (600, 800, 3)
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    assert len(records) + len(again.stdout.splitlines()) == 400
    assert f"{len(records)} already done" in again.stderr


def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path, pictures: Path, tiny_model: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pipeline.edge.cli",
        "predict",
        str(pictures),
        "--model",
        str(tiny_model),
    ]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 6


def test_predict_needs_only_the_base_install(tmp_path: Path, pictures: Path, tiny_model: Path) -> None:
    """A whole run, in a process that cannot import what the base install does not bring."""
    program = (
        "import sys\n"
        "for name in 'torch torchvision onnx av gradio pydantic rich timm cv2 yaml matplotlib scipy'.split():\n"
        "    sys.modules[name] = None\n"
        "from pipeline.edge.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    arguments = [
        "predict",
        str(pictures),
        "--model",
        str(tiny_model),
        "--out",
        str(tmp_path / "out"),
        "--save",
        ALL,
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from pipeline.edge.cli import main\n"
        "try:\n    main(['predict', '--help'])\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "assert not {'numpy', 'PIL', 'onnxruntime', 'torch', 'onnx', 'gradio'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--save" in done.stdout
