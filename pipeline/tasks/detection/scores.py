"""COCO's mean average precision, by torchmetrics over faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from pipeline.tasks.detection.boxes import Boxes

IOU = 0.5  # of AP50, the papers' score
MOST = 100  # detections of a picture that count, as in COCO


@dataclass(frozen=True)
class Truth:
    """The labels of one picture."""

    boxes: Boxes
    ignored: Tensor  # (N,) bool: a detection there is neither right nor wrong


@dataclass(frozen=True)
class Scores:
    """Shares in 0..1; None for a class without a box, and for a mean over none."""

    ap: float | None  # mean over IoU 0.5, 0.55 ... 0.95 and classes: COCO's mAP
    ap50: float | None  # mean over classes at IoU 0.5
    per_class: dict[str, float | None]  # AP
    per_class50: dict[str, float | None]  # AP50

    def as_json(self) -> dict[str, Any]:
        """As metrics/<method>.json has them."""
        return {
            "map": self.ap,
            "ap50": self.ap50,
            "per_class": self.per_class50,
            "per_class_map": self.per_class,
        }


def score(found: Sequence[Boxes], truth: Sequence[Truth], classes: Sequence[str]) -> Scores:
    """Detections of pictures against their labels; boxes of both in the same pixels.

    Raises ValueError where there are not as many pictures of both.
    """
    if len(found) != len(truth):
        raise ValueError(f"detections of {len(found)} pictures for the labels of {len(truth)}")
    whole, at_half = _metric(None), _metric([IOU])
    answers = [{"boxes": b.corners, "scores": b.scores, "labels": b.labels} for b in map(_cpu, found)]
    wanted = [
        {"boxes": b.corners, "labels": b.labels, "iscrowd": t.ignored.cpu().long()}
        for t, b in ((t, _cpu(t.boxes)) for t in truth)
    ]
    labelled = {int(label) for t in truth for label in t.boxes.labels[~t.ignored]}
    per_metric: list[dict[str, float | None]] = []
    for metric in (whole, at_half):
        metric.update(answers, wanted)
        result = metric.compute()
        seen = result["classes"].reshape(-1).tolist()
        values = dict(zip(seen, result["map_per_class"].reshape(-1).tolist(), strict=False))
        per_metric.append({n: values.get(i) if i in labelled else None for i, n in enumerate(classes)})
    of_all, of_half = per_metric
    return Scores(_mean(of_all), _mean(of_half), of_all, of_half)


def _metric(thresholds: list[float] | None) -> MeanAveragePrecision:
    metric = MeanAveragePrecision(
        box_format="xyxy",
        iou_thresholds=thresholds,
        max_detection_thresholds=[1, 10, MOST],
        class_metrics=True,
        backend="faster_coco_eval",
    )
    metric.warn_on_many_detections = False  # more than MOST are cut off, as in COCO
    return metric


def _cpu(boxes: Boxes) -> Boxes:
    return Boxes(boxes.corners.cpu(), boxes.labels.cpu(), boxes.scores.cpu())


def _mean(values: dict[str, float | None]) -> float | None:
    known = [value for value in values.values() if value is not None]
    return float(torch.tensor(known).mean()) if known else None
