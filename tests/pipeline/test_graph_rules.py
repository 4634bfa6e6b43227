"""Files that ship keep to what old onnxruntimes and TensorRT take; the night pair is run in the oldest one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_rules import broken_rules

from pipeline.export import close_calls
from pipeline.onnx.gate import onnx_answers

OLDEST = "1.16.3"  # its last Python is 3.11
SHIPPED = sorted((Path(__file__).resolve().parents[2] / "models" / "night").glob("*.onnx"))
RUN = """
import sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
classes, confidence = session.run(["classes", "confidence"], {"image": numpy.load(sys.argv[2])})
numpy.savez(sys.argv[3], classes=classes, confidence=confidence, version=onnxruntime.__version__)
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_night_pair_keeps_to_the_rules(path: Path) -> None:
    assert broken_rules(path) == []


def newer_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 10


def note(model: onnx.ModelProto) -> None:
    model.graph.node[5].metadata_props.add(key="stack", value="model.py, line 3")


def own_symbols(model: onnx.ModelProto) -> None:
    model.graph.output[1].type.tensor_type.shape.dim[1].dim_param = "8*s39"


def transpose_first(model: onnx.ModelProto) -> None:
    cast = next(n for n in model.graph.node if n.op_type == "Cast")
    turned = onnx.helper.make_node("Transpose", ["image"], ["turned"], name="turned", perm=[0, 3, 1, 2])
    cast.input[0] = "turned"
    model.graph.node.insert(0, turned)


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (newer_ir, "IR 10"),
        (note, "metadata"),
        (own_symbols, "s39"),
        (transpose_first, "turned reads bytes"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, plant: Callable[[onnx.ModelProto], None], words: str) -> None:
    model = onnx.load(SHIPPED[0])
    plant(model)
    onnx.save(model, tmp_path / "model.onnx")
    assert any(words in found for found in broken_rules(tmp_path / "model.onnx"))


@pytest.fixture(scope="module")
def oldest_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A throw-away environment with the oldest onnxruntime."""
    if sys.version_info >= (3, 12):
        pytest.skip(
            f"onnxruntime {OLDEST} has no build for Python {sys.version_info.major}.{sys.version_info.minor}"
        )
    home = tmp_path_factory.mktemp("oldest")
    python = home / "bin" / "python"
    install = ["-m", "pip", "install", "--quiet", "--no-input", "--retries", "0", "--timeout", "10"]
    made = (
        [sys.executable, "-m", "venv", str(home)],
        [str(python), *install, f"onnxruntime=={OLDEST}", "numpy<2"],
    )
    for command in made:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"onnxruntime {OLDEST} is not installed within 300 s: is a package index at hand?")
        if done.returncode != 0:
            pytest.skip(f"onnxruntime {OLDEST} cannot be installed: {done.stderr.strip()[-200:]}")
    return python


@pytest.mark.floats
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_oldest_onnxruntime_gives_the_same_answer(
    oldest_python: Path, tmp_path: Path, path: Path
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 160, 3), np.uint8)
    np.save(tmp_path / "image.npy", image)
    files = (str(path), str(tmp_path / "image.npy"), str(tmp_path / "answer.npz"))
    ran = subprocess.run([str(oldest_python), "-c", RUN, *files], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer = np.load(tmp_path / "answer.npz")
    assert str(answer["version"]) == OLDEST
    classes, confidence, logits = onnx_answers(path)(image)
    clear = ~close_calls(logits[0])[None]
    assert (answer["classes"] == classes)[clear].all()
    assert np.abs(answer["confidence"].astype(int) - confidence).max() <= 1
