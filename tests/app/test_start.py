"""Starting the page: what is refused, and that neither torch nor the training code comes with it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.__main__ import main
from app.models import PHOTO, Models
from app.page import examples
from pipeline.edge.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_a_folder_without_models_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--models", str(tmp_path)]) == 2
    sentence = capsys.readouterr().err
    assert str(tmp_path) in sentence
    assert "make demo" in sentence
    assert sentence.count("\n") == 1


def test_a_broken_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mic.onnx").write_bytes(b"not a model")
    assert main(["--models", str(tmp_path)]) == 3
    assert "mic.onnx" in capsys.readouterr().err


def test_a_taken_port_is_refused(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--models", str(model_folder), "--port", str(port)]) == 2
    sentence = f"Port {port} on 127.0.0.1 is taken: choose another with --port.\n"
    assert capsys.readouterr().err == sentence


def test_pairs(model_folder: Path, tmp_path: Path) -> None:
    assert Models(model_folder).pair == ("source_only", "mic")
    (tmp_path / "mic.onnx").write_bytes((model_folder / "mic.onnx").read_bytes())
    assert Models(tmp_path).pair == (PHOTO, "mic")
    (tmp_path / "b.onnx").write_bytes((model_folder / "source_only.onnx").read_bytes())
    assert Models(tmp_path).pair == ("b", "mic")


def test_variants_are_there_to_choose_and_loaded_when_chosen(model_folder: Path, tmp_path: Path) -> None:
    for name in ("source_only", "mic"):
        shutil.copy(model_folder / f"{name}.onnx", tmp_path)
    shutil.copy(model_folder / "mic.onnx", tmp_path / "mic.int8.onnx")
    (tmp_path / "mic.fp16.onnx").write_bytes(b"not a model")
    models = Models(tmp_path)
    assert models.pair == ("source_only", "mic")
    assert models.names == ["source_only", "mic", "mic.fp16", "mic.int8"]
    assert models.full == ["source_only", "mic"]
    assert models.title("mic.int8") == "After adaptation (MIC), int8 for CPUs"
    assert models["mic.int8"].path.name == "mic.int8.onnx"
    with pytest.raises(UserError, match=r"mic\.fp16\.onnx"):
        models["mic.fp16"]
    (tmp_path / "source_only.onnx").unlink()
    assert Models(tmp_path).pair == (PHOTO, "mic")


def test_the_page_needs_no_torch() -> None:
    code = (
        "import sys, app.__main__, app.page, app.look\n"
        "bad = {'torch', 'timm', 'onnx', 'pipeline.params', 'pipeline.data', 'pipeline.networks',"
        " 'pipeline.training', 'pipeline.adaptation', 'pipeline.evaluation'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_examples_are_pictures_that_may_be_shipped_hard_ones_first() -> None:
    names = [path.name for path in examples(drawn_last=False)]
    assert names[0] == "night_drawn.png"
    told = (ROOT / "app" / "examples" / "README.md").read_text("utf-8")
    assert [name for name in names if name not in told] == []


def test_a_model_that_learned_from_photographs_greets_with_one() -> None:
    names = [path.stem for path in examples(drawn_last=True)]
    assert names[0] == "night_highway"
    assert set(names[-2:]) == {"night_drawn", "fog_drawn"}
