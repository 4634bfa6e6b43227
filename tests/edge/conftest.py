"""Small ONNX graphs that keep the contract, made by hand: no torch, no training."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.edge.checksum import sealed
from pipeline.edge.classes import CLASSES
from pipeline.edge.cli import main
from pipeline.edge.manifest import METADATA_KEY, Manifest

TRAINING_SIZE = (64, 128)

MANIFEST: dict[str, Any] = {
    "schema_version": 1,
    "name": "brightest",
    "method": "mic",
    "seed": 0,
    "created": "2026-11-23",
    "network": {"architecture": "brightest channel", "encoder": "none", "parameters": 0},
    "classes": [
        {"id": c.id, "name": c.name, "rgb": list(c.rgb), "safe_rgb": list(c.safe_rgb)} for c in CLASSES
    ],
    "trained_classes": [0, 1, 2],
    "input": {
        "name": "image",
        "layout": "NHWC",
        "dtype": "uint8",
        "colour": "RGB",
        "stride": 32,
        "training_size": list(TRAINING_SIZE),
        "resize": "bilinear, aspect kept",
        "pad": "bottom and right, mean colour (124,116,104)",
    },
    "output": {"classes": "uint8 [N,H,W]", "confidence": "uint8 [N,H/4,W/4], round(255*max softmax)"},
    "metrics": {
        "source": {"miou": 0.7, "pixel_accuracy": 0.9},
        "target": {
            "miou": 0.5,
            "pixel_accuracy": 0.8,
            "per_class": {"road": 0.9, "rider": None},
            "conditions": {"night": {"miou": 0.4}, "fog": {"miou": 0.6}},
        },
    },
    "conditions": ["night", "fog"],
    "parity": {"logit_error": 0.0, "logit_bound": 1e-6, "shapes": [[1, 64, 128]], "images": 1},
    "quantisation": None,
    "hashes": {"onnx": None, "params": "p", "data_index": "d", "git_commit": None},
    "licences": {"code": "Apache-2.0", "weights": "none", "data": ["drawn by this test"]},
    "intended_use": "tests",
    "known_failures": ["knows three classes only"],
}


def write_model(
    path: Path, manifest: str | None, classes_name: str = "classes", first_class: int = 0
) -> Path:
    """Class = brightest channel (plus `first_class`); confidence = 4 x 4 mean of the brightest value."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])
    outputs = [
        helper.make_tensor_value_info(classes_name, TensorProto.UINT8, ["N", "H", "W"]),
        helper.make_tensor_value_info("confidence", TensorProto.UINT8, ["N", "H4", "W4"]),
    ]
    offset = helper.make_tensor("offset", TensorProto.INT64, [], [first_class])
    channel = helper.make_tensor("channel", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["real"], ["brightest"], axis=3, keepdims=0),
        helper.make_node("Add", ["brightest", "offset"], ["ids"]),
        helper.make_node("Cast", ["ids"], [classes_name], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMax", ["planes", "channel"], ["top"], keepdims=1),
        helper.make_node("AveragePool", ["top"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Squeeze", ["pooled", "channel"], ["mean"]),
        helper.make_node("Round", ["mean"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["confidence"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(nodes, "brightest", [image], outputs, [offset, channel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    if manifest is not None:
        helper.set_model_props(model, {METADATA_KEY: with_hashes(manifest, path)})
        onnx.save(model, path)
    return path


def with_hashes(manifest: str, path: Path) -> str:
    """As export gives them; what is no manifest stays as it is."""
    with contextlib.suppress(ValueError):
        raw = json.loads(manifest)
        return Manifest(sealed(raw, path)).to_json()
    return manifest


@pytest.fixture
def manifest_dict() -> dict[str, Any]:
    """A valid manifest as a dict of one's own to break."""
    return copy.deepcopy(MANIFEST)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound model file: brightest channel, training size 64 x 128, stride 32."""
    return write_model(tmp_path_factory.mktemp("model") / "mic.onnx", Manifest.from_dict(MANIFEST).to_json())


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """write_model into the test's own folder; keyword arguments break the contract."""

    def make(name: str = "model.onnx", **broken: Any) -> Path:
        broken.setdefault("manifest", Manifest.from_dict(MANIFEST).to_json())
        return write_model(tmp_path / name, **broken)

    return make


@pytest.fixture
def run(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[dict[str, Any]], str]]:
    """predict into out/: exit code, records, stderr."""

    def run(*arguments: object) -> tuple[int, list[dict[str, Any]], str]:
        options = ["--model", tiny_model, "--out", tmp_path / "out"]
        code = main(["predict", *(str(a) for a in (*arguments, *options))])
        captured = capsys.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return run
