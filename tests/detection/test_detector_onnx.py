"""The exported detector finds what torch finds, at any height and width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_detector import tiny_detector

from pipeline.data.scenes import draw_scene
from pipeline.onnx.detector import box_parity, compare, export_detector
from pipeline.tasks.detection.boxes import Boxes
from pipeline.tasks.detection.graph import DetectorGraph

SIZES = [(96, 128), (160, 224), (75, 203)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[DetectorGraph, Path]:
    network = tiny_detector()
    with torch.no_grad():
        # Fresh heads give every box nearly the same score, and so ties in every sort.
        network.rpn.head.cls_logits.weight.mul_(100)
        network.rpn.head.bbox_pred.weight.mul_(10)
        network.roi_heads.box_predictor.cls_score.weight.mul_(20)
    graph, path = DetectorGraph(network), tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_detector(graph, path, opset=18)
    return graph, path


def test_boxes_match_at_sizes_that_were_never_traced(exported: tuple[DetectorGraph, Path]) -> None:
    graph, path = exported
    images = [draw_scene(0, i, "target", "night", *size).image for i, size in enumerate(SIZES)]
    verdicts = box_parity(graph, path, images)
    assert [v.shape for v in verdicts] == SIZES
    for verdict in verdicts:
        assert verdict.boxes > 20
        assert verdict.fault(bound=0.0) is None, verdict
        assert verdict.matched == verdict.boxes


def test_the_file_says_what_goes_in_and_comes_out(exported: tuple[DetectorGraph, Path]) -> None:
    _, path = exported
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", [1, "h", "w", 3])
    assert [(o.name, o.type) for o in session.get_outputs()] == [
        ("boxes", "tensor(float)"),
        ("labels", "tensor(int64)"),
        ("scores", "tensor(float)"),
    ]
    found: Any = session.run(None, {"image": np.zeros((1, 64, 96, 3), np.uint8)})
    boxes, labels, scores = found
    assert boxes.shape == (len(scores), 4)
    assert labels.shape == scores.shape
    assert str(Path.cwd()) not in onnx.load(path).SerializeToString().decode("latin1")


def test_a_picture_without_detections_gives_empty_arrays(tmp_path: Path) -> None:
    network = tiny_detector(score_threshold=0.999)
    graph, path = DetectorGraph(network), tmp_path / "model.onnx"
    export_detector(graph, path, opset=18)
    (verdict,) = box_parity(graph, path, [np.zeros((64, 96, 3), np.uint8)])
    assert verdict.boxes == 0
    assert verdict.fault(0.0) is None


def test_a_box_that_moves_changes_or_goes_is_a_fault() -> None:
    wanted = Boxes(
        torch.tensor([[0.0, 0, 100, 100], [200, 0, 300, 50]]), torch.tensor([0, 1]), torch.tensor([0.9, 0.3])
    )
    assert compare((300, 300), wanted, wanted).fault(0.0) is None
    moved = Boxes(wanted.corners + 0.1, wanted.labels, wanted.scores)
    assert "moves a corner by 0.100 pixels at 300x300" in (
        compare((300, 300), wanted, moved).fault(0.0) or ""
    )
    unsure = Boxes(wanted.corners, wanted.labels, wanted.scores - 0.01)
    assert "changes a score by 0.01" in (compare((300, 300), wanted, unsure).fault(0.0) or "")
    other = Boxes(wanted.corners, torch.tensor([0, 0]), wanted.scores)
    assert "box of score 0.300" in (compare((300, 300), wanted, other).fault(0.0) or "")
    assert compare((300, 300), wanted, wanted[torch.tensor([0])]).fault(0.35) is None
