"""Paired bootstrap over pictures for AP50: how sure is the gain of one method over another (Efron, 1979).

COCO's AP of a draw needs the matches of its pictures alone, and those do not change from draw to draw: each picture is
matched once, and a draw sorts and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import box_iou

from pipeline.tasks.detection.boxes import Boxes
from pipeline.tasks.detection.scores import IOU, MOST, Truth

RECALLS = torch.linspace(0, 1, 101).double().numpy()  # COCO's, in single precision as torchmetrics has them


@dataclass(frozen=True)
class Matches:
    """Of one class in one picture: each counted detection, and how many boxes there are."""

    scores: np.ndarray  # (n,)
    right: np.ndarray  # (n,) bool
    boxes: int


@dataclass(frozen=True)
class Ap50Gain:
    """What a method gains over a baseline, as a difference of AP50 in -1..1; None without labels."""

    mean: float | None
    ci95: tuple[float, float] | None  # None for fewer than two pictures, too
    per_class: list[float | None]
    per_class_ci95: list[tuple[float, float] | None]


def match(found: Boxes, truth: Truth, classes: int) -> list[Matches]:
    """COCO's matching at IoU 0.5 for each class: the best detection first, each to the best box that is free."""
    result = []
    for label in range(classes):
        boxes = truth.boxes.labels == label
        ours = found[found.labels == label]
        ours = ours[ours.scores.argsort(descending=True, stable=True)[:MOST]]
        ignored = truth.ignored[boxes].cpu().numpy()
        overlap = box_iou(ours.corners.cpu(), truth.boxes.corners[boxes].cpu()).numpy()
        crowd = _covered(ours, truth.boxes[boxes])
        free = ~ignored
        right, counted = np.zeros(len(ours), bool), np.ones(len(ours), bool)
        for i in range(len(ours)):
            places = np.flatnonzero(free & (overlap[i] >= IOU))
            if len(places):
                # Of equal overlaps the last, as COCO's loop has it.
                best = places[len(places) - 1 - overlap[i, places][::-1].argmax()]
                right[i], free[best] = True, False
            elif (ignored & (crowd[i] >= IOU)).any():
                counted[i] = False
        scores = ours.scores.cpu().numpy()
        result.append(Matches(scores[counted], right[counted], int((~ignored).sum())))
    return result


def _covered(ours: Boxes, theirs: Boxes) -> np.ndarray:
    """Share of each detection (n) that lies in each box (m): what COCO asks of crowds."""
    a, b = ours.corners.cpu().numpy()[:, None], theirs.corners.cpu().numpy()[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    area = np.maximum((a[..., 2:] - a[..., :2]).prod(-1), 1e-9)
    return sides.clip(0).prod(-1) / area


class Ranked:
    """The detections of one class in all pictures, the highest score first."""

    def __init__(self, pictures: Sequence[Matches]) -> None:
        order = (-np.concatenate([m.scores for m in pictures])).argsort(kind="stable")
        self.right = np.concatenate([m.right for m in pictures])[order]
        self.owner = np.repeat(np.arange(len(pictures)), [len(m.scores) for m in pictures])[order]
        self.boxes = np.array([m.boxes for m in pictures])

    def average_precision(self, times: np.ndarray | None = None) -> float:
        """COCO's AP over 101 recalls; `times` (pictures,): how often each counts. NaN without boxes."""
        times = np.ones(len(self.boxes), np.int64) if times is None else times
        boxes = int(times @ self.boxes)
        if not boxes:
            return float("nan")
        weight = times[self.owner]
        hits, found = (self.right * weight).cumsum(), weight.cumsum()
        precision = hits / np.maximum(found, 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        # Where the recall is never reached, the precision is 0.
        return float(np.append(envelope, 0)[np.searchsorted(hits / boxes, RECALLS)].mean())


def paired_bootstrap50(
    baseline: Sequence[Sequence[Matches]],
    method: Sequence[Sequence[Matches]],
    draws: int = 1000,
    seed: int = 0,
) -> Ap50Gain:
    """Gain of `method` over `baseline` with its 95 % percentile interval.

    Args:
        baseline, method: `match` of the same pictures in the same order.
        draws: number of resamples, each as many pictures with replacement.
        seed: the same seed draws the same pictures.

    Raises:
        ValueError: no picture, or the two do not belong to the same labels.
    """
    before, after = ([Ranked(pictures) for pictures in zip(*one, strict=True)] for one in (baseline, method))
    same = all((a.boxes.tolist() == b.boxes.tolist()) for a, b in zip(before, after, strict=True))
    if not baseline or len(baseline) != len(method) or not same:
        raise ValueError("matches of the same labels are needed, and at least one picture")
    n = len(baseline)
    rng = np.random.default_rng(seed)
    once = [np.ones(n, np.int64)]
    times = [*once, *(rng.multinomial(n, np.full(n, 1 / n)) for _ in range(draws if n > 1 else 0))]
    gains = np.array(
        [
            [a.average_precision(t) - b.average_precision(t) for a, b in zip(after, before, strict=True)]
            for t in times
        ]
    )  # (1 + draws, classes), the first row as it is
    known = np.asarray(np.isfinite(gains))
    counted = np.asarray(known.any(axis=1))
    means = np.where(known, gains, 0).sum(axis=1)[counted] / known.sum(axis=1)[counted]
    return Ap50Gain(
        float(means[0]) if counted[0] else None,
        _interval(means[1:]),
        [float(value) if np.isfinite(value) else None for value in gains[0]],
        [_interval(column[np.isfinite(column)]) for column in gains[1:].T],
    )


def _interval(values: np.ndarray) -> tuple[float, float] | None:
    if not len(values):
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
