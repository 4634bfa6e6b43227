"""Scores, sliding windows and the learning rate against the published implementation's outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from pipeline.evaluation.confusion import confusion_matrix, iou, mean_iou, pixel_accuracy, recall
from pipeline.networks.windows import merge_windows, window_boxes
from pipeline.tasks.segmentation.cross_entropy import enlarge
from pipeline.training.optimiser import learning_rate

pytestmark = pytest.mark.floats

Golden = Callable[[str], dict[str, np.ndarray]]
assert_close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", range(2))
def test_miou(golden: Golden, case: int) -> None:
    data = golden("miou")
    assert int(data["n_cases"]) == 2
    truth, prediction = data[f"c{case}_gt"], data[f"c{case}_pred"]
    classes = len(data[f"c{case}_confusion"])
    pictures = [confusion_matrix(t, p, classes) for t, p in zip(truth, prediction, strict=True)]
    confusion = np.sum(pictures, axis=0)
    np.testing.assert_array_equal(confusion, data[f"c{case}_confusion"])
    np.testing.assert_array_equal(np.diag(confusion), data[f"c{case}_intersect"])
    np.testing.assert_allclose(iou(confusion), data[f"c{case}_iou"], rtol=1e-6)
    np.testing.assert_allclose(recall(confusion), data[f"c{case}_acc"], rtol=1e-6)
    assert pixel_accuracy(confusion) == pytest.approx(float(data[f"c{case}_aacc"]), rel=1e-6)
    expected = float(data[f"c{case}_miou_percent_rounded"])
    assert round(100 * mean_iou(confusion), 2) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("case", range(4))
def test_detail_windows(golden: Golden, case: int) -> None:
    data = golden("hrda_detail_windows")
    assert int(data["n_cases"]) == 4
    batch, height, width, window_height, window_width, overlapping = data[f"h{case}_size"].tolist()
    window = (window_height, window_width)
    stride = (window_height // 2, window_width // 2) if overlapping else window
    boxes = window_boxes(height, width, window, stride)
    assert [list(box) for box in boxes] == data[f"h{case}_boxes_y1y2x1x2"].tolist()
    small = [(y1 // 4, y2 // 4, x1 // 4, x2 // 4) for y1, y2, x1, x2 in boxes]
    parts = torch.from_numpy(data[f"h{case}_crop_logits"]).split(batch)
    merged = merge_windows(parts, small, (height // 4, width // 4))
    assert_close(merged.numpy(), data[f"h{case}_merged"])


@pytest.mark.parametrize("case", range(3))
def test_slide_inference(golden: Golden, case: int) -> None:
    data = golden("slide_inference")
    assert int(data["n_cases"]) == 3
    batch, height, width, *rest = data[f"s{case}_size"].tolist()
    boxes = window_boxes(height, width, (rest[0], rest[1]), (rest[2], rest[3]))
    image = torch.from_numpy(data[f"s{case}_image"])
    weights = torch.from_numpy(data[f"s{case}_class_weights"])
    assert len(image) == batch

    def toy_network(pixels: torch.Tensor) -> torch.Tensor:
        y = torch.linspace(-1, 1, pixels.shape[2]).view(-1, 1)
        x = torch.linspace(-1, 1, pixels.shape[3]).view(1, -1)
        return torch.einsum("cr,brhw->bchw", weights, pixels) * (1 + y * x)

    parts = [toy_network(image[:, :, y1:y2, x1:x2]) for y1, y2, x1, x2 in boxes]
    assert_close(torch.stack(parts).numpy(), data[f"s{case}_window_logits"])
    merged = merge_windows(parts, boxes, (height, width))
    own_height, own_width = data[f"s{case}_ori_hw"].tolist()
    result = enlarge(merged, (own_height, own_width))
    assert_close(result.numpy(), data[f"s{case}_merged_rescaled"])


@pytest.mark.parametrize("case", range(2))
def test_learning_rate(golden: Golden, case: int) -> None:
    data = golden("lr_schedule")
    assert int(data["n_cases"]) == 2
    steps, warmup, ratio, power, minimum = data[f"c{case}_cfg_f64"].tolist()
    bases = data[f"c{case}_base_lr_f64"].tolist()
    rates = [
        [learning_rate(step, base, int(steps), int(warmup), power, ratio, minimum) for base in bases]
        for step in data[f"c{case}_iters"].tolist()
    ]
    np.testing.assert_allclose(rates, data[f"c{case}_lr_f64"], rtol=1e-9)
