"""Two tiny models that any picture tells apart, a running page, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from running_page import Running, running

from pipeline.edge.checksum import sealed
from pipeline.edge.classes import CLASSES
from pipeline.edge.manifest import METADATA_KEY, Manifest

LEVELS = 8  # brightness steps, each its own class


def manifest(method: str, size: tuple[int, int] = (64, 128)) -> dict[str, Any]:
    """A valid manifest of a model adapted to night and fog, measured on night alone."""
    target = {
        "miou": 0.41,
        "pixel_accuracy": 0.7,
        "conditions": {"night": {"miou": 0.41}, "fog": {"miou": None}},
    }
    return {
        "schema_version": 1,
        "name": method,
        "method": method,
        "seed": 0,
        "created": "2026-11-23T10:00:00",
        "network": {"architecture": "brightness", "encoder": "none", "parameters": 8},
        "classes": [
            {"id": c.id, "name": c.name, "rgb": list(c.rgb), "safe_rgb": list(c.safe_rgb)} for c in CLASSES
        ],
        "trained_classes": [0, 1, 2, 8, 10, 11, 13],
        "input": {
            "name": "image",
            "layout": "NHWC",
            "dtype": "uint8",
            "colour": "RGB",
            "stride": 32,
            "training_size": list(size),
            "resize": "bilinear, aspect kept",
            "pad": "bottom and right, mean colour (124,116,104)",
        },
        "output": {"classes": "uint8 [N,H,W]", "confidence": "uint8 [N,H/4,W/4], round(255*max softmax)"},
        "metrics": {
            "source": {"miou": 0.7, "pixel_accuracy": 0.9},
            "target": target if method == "mic" else None,
        },
        "conditions": ["night", "fog"],
        "source_format": "scenes",
        "parity": None,
        "quantisation": None,
        "hashes": {"onnx": None, "params": None, "data_index": None, "git_commit": None},
        "licences": {"code": "Apache-2.0", "weights": "Apache-2.0", "data": ["drawn by a test"]},
        "intended_use": "Showing that the page works.",
        "known_failures": ["Sees brightness and nothing else."],
    }


def write_model(path: Path, method: str, table: list[int]) -> None:
    """Class = table[brightness step]; confidence = brightness, at a quarter of the size."""
    assert len(table) == LEVELS
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["grey"], axes=[3], keepdims=0),
        helper.make_node("Mul", ["grey", "scale"], ["step"]),
        helper.make_node("Floor", ["step"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["classes"]),
        helper.make_node("Slice", ["grey", "starts", "ends", "axes", "steps"], ["quarter"]),
        helper.make_node("Cast", ["quarter"], ["confidence"], to=TensorProto.UINT8),
    ]
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [LEVELS / 256]),
        helper.make_tensor("table", TensorProto.UINT8, [LEVELS], table),
        helper.make_tensor("starts", TensorProto.INT64, [2], [0, 0]),
        helper.make_tensor("ends", TensorProto.INT64, [2], [10**6, 10**6]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("steps", TensorProto.INT64, [2], [4, 4]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])
    outputs = [
        helper.make_tensor_value_info("classes", TensorProto.UINT8, ["N", "H", "W"]),
        helper.make_tensor_value_info("confidence", TensorProto.UINT8, ["N", "H4", "W4"]),
    ]
    graph = helper.make_graph(nodes, "brightness", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    text = Manifest.from_dict(sealed(manifest(method), path)).to_json()
    helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, path)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """source_only.onnx and mic.onnx: they agree on dark and bright pixels and differ in between."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "source_only.onnx", "source_only", [0, 2, 2, 8, 13, 10, 10, 10])
    write_model(folder / "mic.onnx", "mic", [0, 0, 2, 8, 8, 11, 10, 10])
    return folder


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 320 x 200 picture with every brightness from left (dark) to right (bright)."""
    ramp = np.broadcast_to(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], (200, 320, 3))
    path = tmp_path_factory.mktemp("photo") / "ramp.png"
    Image.fromarray(np.ascontiguousarray(ramp)).save(path)
    return path


@pytest.fixture(scope="session")
def served(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`python -m app` over the two tiny models."""
    with running(model_folder, tmp_path_factory.mktemp("page")) as page:
        yield page


@pytest.fixture(scope="session")
def page_url(served: Running) -> str:
    """Its address."""
    return served.url
