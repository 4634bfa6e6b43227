"""verify: a sound file passes, and any change of a byte, manifest or graph is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from pipeline.edge.checksum import embedded_manifest, graph_sha256, manifest_sha256
from pipeline.edge.cli import main
from pipeline.edge.errors import BadModel
from pipeline.edge.manifest import METADATA_KEY, Manifest
from pipeline.edge.sample import compare, sample_entry, sample_pixels
from pipeline.edge.verify import file_checks, verify

SEALED = (
    "manifest schema",
    "graph hash",
    "manifest hash",
    "manifest beside",
    "graph contract",
    "parity sample",
)


def seal(path: Path, raw: dict[str, Any]) -> Path:
    """Hashes and sample into the manifest, the manifest into the file and beside it, as export does."""
    raw = copy.deepcopy(raw)
    picture = np.repeat(np.eye(3, dtype=np.uint8) * 200, 100, axis=0).reshape(3, 100, 3).repeat(50, axis=0)
    pixels = sample_pixels(picture, raw["input"]["stride"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    classes, confidence = (np.asarray(a)[0] for a in session.run(None, {"image": pixels[None]}))
    raw["sample"] = sample_entry(pixels, classes, confidence, np.zeros(classes.shape, bool), 0.99)
    raw["hashes"]["onnx"] = graph_sha256(path)
    raw["hashes"]["manifest"] = manifest_sha256(raw)
    write_manifest(path, Manifest.from_dict(raw).to_json())
    path.with_suffix(".json").write_text(Manifest.from_dict(raw).to_json(), encoding="utf-8")
    return path


def write_manifest(path: Path, text: str) -> None:
    model = onnx.load(path)
    helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, path)


@pytest.fixture
def sealed(make_model: Callable[..., Path], manifest_dict: dict[str, Any]) -> Path:
    return seal(make_model("mic.onnx"), manifest_dict)


def failed(path: Path) -> list[str]:
    return [check.name for check in verify(path) if check.holds is False]


def test_a_sound_file_passes_every_check(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [(check.name, check.holds) for check in verify(sealed)] == [(name, True) for name in SEALED]
    assert main(["verify", str(sealed)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in lines] == ["ok       "] * 6
    assert "100.00 % of the classes are the same" in lines[-1]


def test_any_byte_that_changes_is_found(sealed: Path, tmp_path: Path) -> None:
    whole = sealed.read_bytes()
    broken = tmp_path / "alone.onnx"  # without the .json beside it
    flips = np.random.default_rng(0).integers(1, 256, len(whole)).tolist()
    for at, flip in enumerate(flips):
        broken.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
        assert any(check.holds is False for check in file_checks(broken)), (at, flip)
    for other in (whole[:-1], whole[:-100], whole[:40], whole + b"\0", whole + b"x\1\1", whole + whole, b""):
        broken.write_bytes(other)
        assert any(check.holds is False for check in file_checks(broken))


def test_every_spelling_of_the_same_values_is_another_file(
    sealed: Path, manifest_dict: dict[str, Any]
) -> None:
    manifest_dict["metrics"]["source"]["ece"] = 1e-05
    seal(sealed, manifest_dict)
    assert failed(sealed) == []
    text = embedded_manifest(sealed) or ""
    for before, after in (("1e-05", "1E-05"), ("\n", "\t"), ("\n", "\r")):
        assert before in text
        changed = text.replace(before, after, 1)
        assert json.loads(changed) == json.loads(text)
        write_manifest(sealed, changed)
        sealed.with_suffix(".json").unlink(missing_ok=True)
        assert failed(sealed) == ["manifest hash"]


def test_an_edited_manifest_is_found(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = sealed.with_suffix(".json").read_text()
    raw = json.loads(text)
    raw["metrics"]["target"]["miou"] = 0.99
    edited = Manifest.from_dict(raw).to_json()
    sealed.with_suffix(".json").write_text(edited)
    assert failed(sealed) == ["manifest beside"]
    write_manifest(sealed, edited)
    assert failed(sealed) == ["manifest hash"]
    raw["hashes"]["manifesu"] = raw["hashes"].pop("manifest")
    write_manifest(sealed, Manifest.from_dict(raw).to_json())
    sealed.with_suffix(".json").unlink()
    assert failed(sealed) == ["manifest hash"]
    raw["input"]["stride"] = 3
    write_manifest(sealed, json.dumps(raw))
    assert failed(sealed) == ["manifest schema", "graph contract"]
    capsys.readouterr()
    assert main(["verify", str(sealed)]) == 3
    assert "failed    manifest schema" in capsys.readouterr().out


def test_the_manifest_of_another_model_is_found(
    sealed: Path, make_model: Callable[..., Path], manifest_dict: dict[str, Any]
) -> None:
    other = seal(make_model("other.onnx", first_class=3), manifest_dict)
    write_manifest(sealed, embedded_manifest(other) or "")
    assert failed(sealed) == ["graph hash", "manifest beside", "parity sample"]


def test_a_graph_with_other_inputs_is_found(
    make_model: Callable[..., Path], sealed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(sealed)
    model.graph.input[0].name = "picture"
    for node in model.graph.node:
        node.input[:] = ["picture" if name == "image" else name for name in node.input]
    onnx.save(model, sealed)
    raw = json.loads(embedded_manifest(sealed) or "")
    raw["hashes"]["onnx"] = graph_sha256(sealed)  # even where the hashes were made to fit
    raw["hashes"]["manifest"] = manifest_sha256(raw)
    write_manifest(sealed, Manifest.from_dict(raw).to_json())
    sealed.with_suffix(".json").unlink()
    assert failed(sealed) == ["graph contract"]
    assert main(["verify", str(sealed)]) == 3
    assert "the inputs are picture" in capsys.readouterr().out


def test_a_sample_that_is_none_or_answers_otherwise_is_found(sealed: Path) -> None:
    whole = json.loads(embedded_manifest(sealed) or "")
    sealed.with_suffix(".json").unlink()
    swapped = {"image": whole["sample"]["confidence"]}
    wrong_size = {"classes": whole["sample"]["confidence"]}
    small = {"ties": whole["sample"]["confidence"]}
    for change in (swapped, wrong_size, small, {"image": "no base64"}, {"classes": "aGVsbG8="}):
        raw = copy.deepcopy(whole)
        raw["sample"] |= change
        raw["hashes"]["manifest"] = manifest_sha256(raw)
        write_manifest(sealed, Manifest.from_dict(raw).to_json())
        assert failed(sealed) == ["parity sample"]


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_ties_never_fail_a_sample_and_other_pixels_do(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    classes, ties = random.integers(0, 19, (32, 64), np.uint8), random.random((32, 64)) < share
    confidence = random.integers(0, 256, (8, 16), np.uint8)
    entry = sample_entry(np.zeros((32, 64, 3), np.uint8), classes, confidence, ties, 0.99)
    swapped = np.where(ties, (classes + 1) % 19, classes).astype(np.uint8)
    replay = compare(entry, swapped, confidence)
    assert replay.holds
    assert replay.agreement == 1
    assert f"{ties.sum()} ties left out" in str(replay)
    other = (classes + 1).astype(np.uint8)
    assert compare(entry, other, confidence).holds == ties.all()


def test_a_sample_from_before_ties_were_stored_is_compared_whole() -> None:
    classes, confidence = np.zeros((32, 64), np.uint8), np.zeros((8, 16), np.uint8)
    entry = sample_entry(np.zeros((32, 64, 3), np.uint8), classes, confidence, np.ones((32, 64), bool), 0.99)
    del entry["ties"]
    assert compare(entry, classes, confidence).holds
    assert not compare(entry, classes + np.uint8(1), confidence).holds


def test_an_older_manifest_says_what_could_not_be_checked(
    sealed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = json.loads(embedded_manifest(sealed) or "")
    del raw["sample"], raw["hashes"]["manifest"]
    write_manifest(sealed, Manifest.from_dict(raw).to_json())
    sealed.with_suffix(".json").unlink()
    assert main(["verify", str(sealed)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["ok", "ok", "not made", "not made", "ok", "not made"]
    raw["hashes"]["onnx"] = None
    write_manifest(sealed, Manifest.from_dict(raw).to_json())
    assert failed(sealed) == ["graph hash"]


def test_what_is_no_model_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path / "nowhere.onnx")]) == 3
    assert capsys.readouterr().err.startswith("error: No such model: ")
    (tmp_path / "text.onnx").write_text("no model")
    assert main(["verify", str(tmp_path / "text.onnx")]) == 3
    assert "failed    manifest schema" in capsys.readouterr().out
    with pytest.raises(BadModel, match=r"text\.onnx is no sound ONNX file"):
        graph_sha256(tmp_path / "text.onnx")


def test_the_graph_hash_knows_nothing_of_the_manifest(sealed: Path) -> None:
    before = graph_sha256(sealed)
    for text in ("", "{}", "x" * 70_000):
        write_manifest(sealed, text)
        assert graph_sha256(sealed) == before
    model = onnx.load(sealed)
    model.doc_string = "another"
    onnx.save(model, sealed)
    assert graph_sha256(sealed) != before


def test_the_manifest_hash_knows_nothing_of_itself_and_of_order(manifest_dict: dict[str, Any]) -> None:
    before = manifest_sha256(manifest_dict)
    manifest_dict["hashes"]["manifest"] = before
    assert manifest_sha256(dict(reversed(manifest_dict.items()))) == before
    manifest_dict["intended_use"] = "tésts"
    assert manifest_sha256(manifest_dict) != before
