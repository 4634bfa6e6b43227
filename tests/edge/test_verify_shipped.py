"""verify on the model that ships with the project and the .json beside it: each of four accidents, in either file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from pipeline.edge.checksum import embedded_manifest
from pipeline.edge.cli import main
from pipeline.edge.manifest import METADATA_KEY, Manifest
from pipeline.edge.verify import verify

NIGHT = Path(__file__).resolve().parents[2] / "models" / "night"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in ("mic.onnx", "mic.json"):
        shutil.copy(NIGHT / name, tmp_path)
    return tmp_path / "mic.onnx"


def flip(path: Path, share: float) -> None:
    """One bit of the byte that lies at `share` (0..1) of a file."""
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 4
    path.write_bytes(content)


def edit(path: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


def put_manifest(path: Path, text: str) -> None:
    edit(path, lambda model: helper.set_model_props(model, {METADATA_KEY: text}))


def edited(text: str) -> str:
    """The same manifest with a better score."""
    raw = json.loads(text)
    raw["metrics"]["target"]["miou"] = 0.99
    return Manifest.from_dict(raw).to_json()


def found(path: Path) -> list[str]:
    """The checks that fail; the command exits with 3 where there is one."""
    failed = [check.name for check in verify(path) if check.holds is False]
    assert main(["verify", str(path)]) == (3 if failed else 0)
    return failed


@pytest.mark.parametrize("name", ["mic", "source_only"])
def test_what_ships_is_sound(name: str) -> None:
    assert found(NIGHT / f"{name}.onnx") == []


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.9, 0.998, 1 - 1e-9])
def test_one_flipped_byte_of_the_model_is_found(model: Path, share: float) -> None:
    flip(model, share)
    assert found(model)


@pytest.mark.parametrize("share", [0.0, 0.5, 1 - 1e-9])
def test_one_flipped_byte_of_the_json_is_found(model: Path, share: float) -> None:
    flip(model.with_suffix(".json"), share)
    assert found(model) == ["manifest beside"]


def test_an_edited_manifest_is_found(model: Path) -> None:
    beside = model.with_suffix(".json")
    text = edited(beside.read_text(encoding="utf-8"))
    beside.write_text(text, encoding="utf-8")
    assert found(model) == ["manifest beside"]
    put_manifest(model, text)
    assert found(model) == ["manifest hash"]


def test_the_manifest_of_another_model_is_found(model: Path) -> None:
    shutil.copy(NIGHT / "source_only.json", model.with_suffix(".json"))
    assert found(model) == ["manifest beside"]
    put_manifest(model, embedded_manifest(NIGHT / "source_only.onnx") or "")
    failed = found(model)
    assert "graph hash" in failed
    assert "manifest beside" not in failed, "both are of the other model"


def test_a_graph_with_other_inputs_is_found(model: Path) -> None:
    def rename(graph: onnx.ModelProto) -> None:
        graph.graph.input[0].name = "picture"
        for node in graph.graph.node:
            node.input[:] = ["picture" if name == "image" else name for name in node.input]

    edit(model, rename)
    assert found(model) == ["graph hash", "graph contract"]


def test_a_manifest_that_tells_of_other_inputs_is_found(model: Path) -> None:
    beside = model.with_suffix(".json")
    raw = json.loads(beside.read_text(encoding="utf-8"))
    raw["input"]["name"] = "picture"
    beside.write_text(json.dumps(raw), encoding="utf-8")
    assert found(model) == ["manifest beside"]
    put_manifest(model, json.dumps(raw))
    assert found(model) == ["manifest schema", "graph contract"]
