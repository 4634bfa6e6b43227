"""Predict and score the pictures of a split one at a time: confusions, calibration, label-free shares."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from pipeline.data.formats import read_record_label
from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge import runtime
from pipeline.edge.classes import CLASSES, NUM_CLASSES
from pipeline.edge.images import enlarge_nearest
from pipeline.evaluation.calibration import Calibration
from pipeline.evaluation.confusion import confusion_matrix, iou, labelled_classes, mean_iou, pixel_accuracy
from pipeline.evaluation.inference import Prediction, predict_as
from pipeline.networks.encoder_decoder import SegmentationNetwork
from pipeline.params import Params
from pipeline.params.data import Data

Seen = Callable[[Record, Prediction], None]


@dataclass
class Scores:
    """What was counted over a split; only labelled pictures have a confusion matrix."""

    scored_classes: Sequence[int] = tuple(range(NUM_CLASSES))  # those that count in a mean
    images: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    confusions: list[np.ndarray] = field(default_factory=list)  # (19, 19) int64 each, rows = truth
    calibration: Calibration = field(default_factory=Calibration)
    pictures: int = 0
    seen_conditions: set[str] = field(default_factory=set)  # also of pictures without labels
    confidence_sum: float = 0.0
    confidence_count: int = 0
    predicted: np.ndarray = field(default_factory=lambda: np.zeros(NUM_CLASSES, np.int64))
    seconds: float = 0.0
    network_seconds: float = 0.0

    def add(self, record: Record, prediction: Prediction, label: np.ndarray | None) -> None:
        """Count one picture; `label` (H, W) train ids, None where there is none."""
        self.pictures += 1
        self.seen_conditions.add(record.condition)
        self.confidence_sum += float(prediction.confidence.sum(dtype=np.float64))
        self.confidence_count += prediction.confidence.size
        self.predicted += np.bincount(prediction.classes.ravel(), minlength=NUM_CLASSES)
        if label is None:
            return
        self.confusions.append(confusion_matrix(label, prediction.classes))
        self.images.append(record.image)
        self.conditions.append(record.condition)
        known = label < NUM_CLASSES
        confidence = enlarge_nearest(prediction.confidence, (label.shape[0], label.shape[1]))
        self.calibration.add(confidence[known], (prediction.classes == label)[known])

    def stack(self) -> np.ndarray:
        """Per-image confusion matrices, int64 (n, 19, 19)."""
        return (
            np.stack(self.confusions)
            if self.confusions
            else np.zeros((0, NUM_CLASSES, NUM_CLASSES), np.int64)
        )


class _Timed:
    """A network that adds up the seconds spent in it."""

    def __init__(self, network: SegmentationNetwork, device: torch.device) -> None:
        self.network, self.device, self.seconds = network, device, 0.0
        self.size_multiple = network.size_multiple

    def __call__(self, images: Tensor) -> Tensor:
        started = time.perf_counter()
        logits = self.network(images)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds += time.perf_counter() - started
        return logits


def score_pictures(
    network: SegmentationNetwork,
    records: Sequence[Record],
    params: Params,
    device: torch.device,
    title: str,
    seen: Seen | None = None,
) -> Scores:
    """Predict every picture and count; memory does not grow with their number or that of their pixels.

    `seen` is called with every picture's prediction, in order.
    """
    network.eval()
    timed = _Timed(network, device)
    scores = _score(lambda image: predict_as(params, timed, image, device), records, params.data, title, seen)
    scores.network_seconds = timed.seconds
    return scores


def score_onnx(
    model: runtime.Segmenter, records: Sequence[Record], data: Data, title: str, seen: Seen | None = None
) -> Scores:
    """`score_pictures` of an .onnx file: the same counts, predicted by the runtime that ships."""
    network_seconds = 0.0

    def predict(image: np.ndarray) -> Prediction:
        nonlocal network_seconds
        answer = model.segment(image)
        network_seconds += answer.milliseconds["network"] / 1000
        return Prediction(answer.classes, answer.confidence)

    scores = _score(predict, records, data, title, seen)
    scores.network_seconds = network_seconds
    return scores


def _score(
    predict: Callable[[np.ndarray], Prediction],
    records: Sequence[Record],
    data: Data,
    title: str,
    seen: Seen | None,
) -> Scores:
    scores = Scores(data.scored_classes)
    started = time.perf_counter()
    console = Console(stderr=True)
    ahead = track(
        read_ahead(records, data),
        title,
        len(records),
        console=console,
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    for record, image, label in ahead:
        prediction = predict(image)
        scores.add(record, prediction, label)
        if seen:
            seen(record, prediction)
    scores.seconds = time.perf_counter() - started
    return scores


def read_ahead(
    records: Sequence[Record], data: Data, depth: int = 2
) -> Iterator[tuple[Record, np.ndarray, np.ndarray | None]]:
    """Pictures with their labels, in order, the next `depth` being decoded by a thread meanwhile."""

    def read(record: Record) -> tuple[Record, np.ndarray, np.ndarray | None]:
        return record, read_picture(record.image), read_record_label(record, data) if record.label else None

    with ThreadPoolExecutor(1) as reader:
        waiting: deque[Future[tuple[Record, np.ndarray, np.ndarray | None]]] = deque()
        for record in records:
            waiting.append(reader.submit(read, record))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def score_block(confusion: np.ndarray, scored: Sequence[int] | None = None) -> dict[str, Any]:
    """miou, pixel_accuracy and per_class of a summed confusion matrix (19, 19); None without labels.

    A class without a labelled pixel leaves the mean, so that methods are compared over the same classes; so does
    one that is not among the `scored` (None: all are). Every labelled pixel still counts in the IoU of the others.
    """
    classes = labelled_classes(confusion, scored)
    values = iou(confusion)
    return {
        "miou": round(mean_iou(confusion, classes), 6) if classes else None,
        "pixel_accuracy": round(pixel_accuracy(confusion), 6) if classes else None,
        "per_class": {c.name: round(float(values[c.id]), 6) if c.id in classes else None for c in CLASSES},
    }


def domain_metrics(scores: Scores) -> dict[str, Any]:
    """The `source` or `target` block of metrics/<method>.json; shares in 0..1, null without labels."""
    stack = scores.stack()
    conditions = np.array(scores.conditions)
    error = scores.calibration.error()
    total = scores.predicted.sum()
    return {
        **score_block(stack.sum(axis=0), scores.scored_classes),
        "ece": None if error is None else round(error, 6),
        "mean_confidence": round(scores.confidence_sum / scores.confidence_count, 6)
        if scores.confidence_count
        else None,
        "class_shares": {c.name: round(float(scores.predicted[c.id] / total), 6) for c in CLASSES}
        if total
        else None,
        "conditions": {
            name: score_block(stack[conditions == name].sum(axis=0), scores.scored_classes)
            for name in sorted(scores.seen_conditions)
        },
    }


def spread(records: Sequence[Record], count: int) -> list[int]:
    """Positions of `count` pictures, the same for every method: shared over conditions, even within each."""
    by_condition: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        by_condition.setdefault(record.condition, []).append(i)
    # Small conditions first: what they cannot give is shared out among the larger ones.
    chosen: list[int] = []
    groups = sorted(by_condition.values(), key=len)
    for k, group in enumerate(groups):
        share = min(len(group), (count - len(chosen)) // (len(groups) - k))
        if k == len(groups) - 1:
            share = min(len(group), count - len(chosen))
        chosen += [group[i * len(group) // share] for i in range(share)]
    return sorted(chosen)
