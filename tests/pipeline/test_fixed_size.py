"""Networks that slide windows: one graph of fixed size with the windows inside, equal to what evaluation scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from graph_rules import broken_rules
from onnx import TensorProto, helper

from pipeline import evaluate, export, prepare
from pipeline.edge.errors import UserError
from pipeline.edge.images import read_image
from pipeline.edge.runtime import Segmenter
from pipeline.edge.verify import verify
from pipeline.evaluation.inference import predict_as
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.sliding import as_evaluated, fixed_size
from pipeline.networks.weights import load_weights, save_weights
from pipeline.onnx.gate import parity_batches, verdicts
from pipeline.params import Params, load_params
from pipeline.run.workspace import Workspace

DAFORMER = {
    "architecture": "daformer",
    "encoder": "tu-test_resnet",
    "decoder": {"embed_dim": 16, "channels": 16},
}
SLIDING = {"mode": "sliding", "window": [64, 64], "window_stride": [32, 32]}


def changed(project: Path, network: dict[str, Any], how: dict[str, Any]) -> Params:
    path = project / "params.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["network"] = network
    raw["evaluate"] |= how
    path.write_text(yaml.safe_dump(raw))
    return load_params()


@pytest.mark.floats
@pytest.mark.parametrize(
    ("network", "how", "size"),
    [
        (DAFORMER | {"hrda": {"detail": [32, 32]}}, SLIDING, (64, 128)),
        (DAFORMER, SLIDING, (64, 96)),
        (
            {"architecture": "deeplabv2", "encoder": "tu-test_resnet", "hrda": {"detail": [64, 96]}},
            {},
            (64, 128),
        ),
    ],
    ids=["HRDA in sliding windows", "sliding windows", "HRDA, a detail window as high as the picture"],
)
def test_what_is_scored_is_what_ships(
    project: Path, network: dict[str, Any], how: dict[str, Any], size: tuple[int, int]
) -> None:
    params, workspace = changed(project, network, how), Workspace()
    prepare.run(params, workspace)
    torch.manual_seed(0)
    for weights in (workspace.weights("mic"), workspace.teacher_weights("mic")):
        save_weights(build_segmenter(params.network), weights)
    evaluate.run(params, workspace, "mic", "cpu")
    manifest = export.run(params, workspace, "mic")
    assert manifest.fixed_size == size
    assert manifest.raw["inference"] == {"mode": "whole", "window": None, "window_stride": None} | how
    assert manifest.parity is not None
    assert manifest.parity["shapes"] == [[1, *size]]

    path = workspace.onnx("mic")
    assert broken_rules(path) == []
    (image,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()
    assert image.shape == [1, *size, 3]
    assert all(check.holds is not False for check in verify(path))

    segmenter, torch_network = Segmenter(path), build_segmenter(params.network, pretrained=False).eval()
    load_weights(torch_network, workspace.weights("mic"))
    picture = read_image(project / "data/tiny/target/val/images/000.png")
    for shown in (picture, np.rot90(picture).copy(), picture[:, :50], picture[:20]):
        expected, found = predict_as(params, torch_network, shown), segmenter.segment(shown)
        assert (expected.classes == found.classes).mean() >= 0.99  # but for ties
        assert expected.confidence.shape == found.confidence.shape
        assert np.abs(expected.confidence - found.confidence).max() <= 1.5 / 255
    assert len(np.unique(segmenter.segment(picture).classes)) > 1, "or the comparison says nothing"


@pytest.mark.parametrize(
    ("network", "how", "words"),
    [
        (
            DAFORMER | {"hrda": {"detail": [32, 32]}},
            SLIDING | {"window": [32, 64]},
            r"evaluate\.window \[32, 64\]",
        ),
        (
            DAFORMER | {"hrda": {"detail": [48, 64]}},
            {},
            r"network\.hrda\.detail \[48, 64\] must be multiples of 32",
        ),
        (
            DAFORMER | {"hrda": {"detail": [64, 64], "scale": 0.4}},
            {},
            r"network\.hrda\.scale 0\.4 must be 1 / a whole",
        ),
    ],
)
def test_windows_that_do_not_fit_are_one_sentence(
    project: Path, network: dict[str, Any], how: dict[str, Any], words: str
) -> None:
    params = changed(project, network, how)
    with pytest.raises(UserError, match=words):
        as_evaluated(params, build_segmenter(params.network))


def test_pictures_of_the_gate_are_fitted_and_padded_as_at_inference(project: Path) -> None:
    params = changed(project, DAFORMER, SLIDING)
    fixed = fixed_size(params, build_segmenter(params.network))
    (batch,) = parity_batches([np.full((64, 48, 3), 9, np.uint8)], params.data.size, fixed, 32)
    assert batch.shape == (1, 64, 96, 3)
    assert (batch[0, :, :48] == 9).all()
    assert (batch[0, :, 48:] == (124, 116, 104)).all()
    assert fixed_size(changed(project, DAFORMER, {"mode": "whole"}), build_segmenter(params.network)) is None


def test_a_graph_that_fails_at_a_shape_is_refused_in_one_sentence(tmp_path: Path) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 32, 32, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 32, 32, 3])
        for name in ("classes", "confidence")
    ]
    nodes = [helper.make_node("Identity", ["image"], [output.name]) for output in outputs]
    nodes.append(helper.make_node("Cast", ["image"], ["logits"], to=TensorProto.FLOAT))
    graph = helper.make_graph(nodes, "one_size", [image], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "one_size.onnx"
    onnx.save(model, path)
    small = EdgeGraph(torch.nn.Conv2d(3, 19, 1))
    with pytest.raises(
        UserError, match=r"one_size\.onnx: onnxruntime fails at \[1, 64, 32\] \(.*\): choose another"
    ):
        list(verdicts(small, path, [np.zeros((1, 64, 32, 3), np.uint8)]))
    pooled = EdgeGraph(torch.nn.Sequential(torch.nn.MaxPool2d(64), torch.nn.Conv2d(3, 19, 1)))
    with pytest.raises(UserError, match=r"one_size\.onnx: torch itself fails at \[1, 32, 32\] \(.*too small"):
        list(verdicts(pooled, path, [np.zeros((1, 32, 32, 3), np.uint8)]))
    with pytest.raises(UserError, match=r"one_size\.onnx: shapes differ from torch at \[1, 32, 32\]"):
        list(verdicts(small, path, [np.zeros((1, 32, 32, 3), np.uint8)]))
    path.write_bytes(b"no model")
    with pytest.raises(UserError, match=r"one_size\.onnx: onnxruntime does not load it"):
        list(verdicts(small, path, []))
