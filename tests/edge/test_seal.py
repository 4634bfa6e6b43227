"""A model whose bytes are not those that were exported does not run: any bit, any edit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from PIL import Image

from app.__main__ import main as page
from pipeline.edge.backend import warn
from pipeline.edge.checksum import embedded_manifest
from pipeline.edge.cli import main
from pipeline.edge.errors import BadModel
from pipeline.edge.manifest import METADATA_KEY
from pipeline.edge.runtime import Segmenter

NIGHT = Path(__file__).resolve().parents[2] / "models" / "night" / "mic.onnx"
PICTURE = np.full((64, 128, 3), (1, 2, 3), np.uint8)


def put_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit the manifest inside a file, and leave the hashes as they were."""
    raw = json.loads(embedded_manifest(path) or "")
    change(raw)
    model = onnx.load(path)
    helper.set_model_props(model, {METADATA_KEY: json.dumps(raw, indent=2, ensure_ascii=False) + "\n"})
    onnx.save(model, path)


def test_none_of_100_flipped_bits_runs(tmp_path: Path) -> None:
    whole = NIGHT.read_bytes()
    rng = np.random.default_rng(13)
    path = tmp_path / "mic.onnx"
    for at, bit in zip(rng.integers(0, len(whole), 100), rng.integers(0, 8, 100), strict=True):
        content = bytearray(whole)
        content[at] ^= 1 << int(bit)
        path.write_bytes(content)
        with pytest.raises(BadModel) as refused:
            Segmenter(path)
        assert "\n" not in str(refused.value)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_nothing_that_happens_to_a_file_runs(data: st.DataObject, tiny_model: Path) -> None:
    whole = tiny_model.read_bytes()
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 40)))
    content = whole[:begin] + data.draw(st.binary(max_size=40)) + whole[end:]
    path = tiny_model.with_name("changed.onnx")
    path.write_bytes(content)
    if content == whole:
        Segmenter(path)
    else:
        with pytest.raises(BadModel):
            Segmenter(path)


def test_commands_and_page_say_so_and_no_verify_runs_it(
    make_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model("mic.onnx")
    put_manifest(model, lambda raw: raw["input"].update(training_size=[32, 64]))
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    predict = ["predict", str(tmp_path / "a.png"), "--model", str(model), "--out", str(tmp_path / "out")]
    bench = ["bench", str(model), "--runs", "1"]
    for command in (predict, bench, ["info", str(model)]):
        assert main(command) == 3
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith(f"error: {model} is not what was exported: ")
        assert (told.err.count("\n"), told.err.count("the manifest was edited")) == (1, 1)
        assert main([*command, "--no-verify"]) == 0
        capsys.readouterr()
    assert not (tmp_path / "out" / "failures.txt").exists()
    assert page(["--models", str(tmp_path)]) == 3
    assert "is not what was exported" in capsys.readouterr().err


def test_a_file_older_than_the_hash_of_the_manifest_is_a_warning(
    make_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model()
    put_manifest(model, lambda raw: raw["hashes"].pop("manifest"))
    warn.cache_clear()
    assert (Segmenter(model).segment(PICTURE).classes == 2).all()
    told = capsys.readouterr().err
    assert told.startswith(f"warning: {model}: a damaged or edited copy would go unnoticed")
    assert told.count("\n") == 1
    put_manifest(model, lambda raw: raw["hashes"].update(onnx=None))
    with pytest.raises(BadModel, match=r"hashes\.onnx is null"):
        Segmenter(model)


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_the_bytes_that_were_hashed_are_the_bytes_that_run(
    make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    model, other = make_model("mic.onnx"), make_model("other.onnx", first_class=5).read_bytes()
    honest = Path.read_bytes

    def exchanged(path: Path) -> bytes:
        content = honest(path)
        path.write_bytes(other)  # a moment later, somebody copies another one over it
        return content

    monkeypatch.setattr(Path, "read_bytes", exchanged)
    assert (Segmenter(model, provider).segment(PICTURE).classes == 2).all()


def test_weights_in_a_file_of_their_own_do_not_load(tmp_path: Path) -> None:
    """No hash here covers them, and export writes none."""
    model = onnx.load(NIGHT)
    onnx.save(model, tmp_path / "mic.onnx", save_as_external_data=True, location="weights.bin")
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(BadModel):
        Segmenter(tmp_path / "mic.onnx")
    with pytest.raises(BadModel, match="no ONNX model that loads"):
        Segmenter(tmp_path / "mic.onnx", verify=False)


@pytest.mark.parametrize("command", ["info", "verify", "bench"])
def test_what_is_no_file_of_a_model_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (tmp_path / "folder.onnx").mkdir()
    os.mkfifo(tmp_path / "pipe.onnx")
    with (tmp_path / "huge.onnx").open("wb") as huge:
        huge.truncate(2**31)  # takes no room
    (tmp_path / "loop.onnx").symlink_to("loop.onnx")
    (tmp_path / "zip.onnx").write_bytes(b"PK\3\4" * 5000)
    (tmp_path / "empty.onnx").touch()
    odd = [tmp_path / f"{n}.onnx" for n in ("folder", "pipe", "huge", "loop", "zip", "empty", "x" * 300)]
    for path in (*odd, Path("/dev/zero"), Path("a\0b")):
        assert main([command, str(path)]) == 3, path
        told = capsys.readouterr()
        lines = (told.out + told.err).splitlines()
        assert len(lines) == 1 or (command == "verify" and len(lines) == 2), told  # a check each
        assert "Traceback" not in told.err
