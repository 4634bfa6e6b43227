"""Confusion matrices and the scores read off them (method page, section 4): IoU, recall, pixel accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.edge.classes import IGNORE, NUM_CLASSES


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, num_classes: int = NUM_CLASSES) -> np.ndarray:
    """Count pixels by true (row) and predicted (column) class: int64 (C, C).

    truth and prediction are integer arrays of one shape; pixels whose truth is 255 are dropped.
    Raises ValueError for another shape or an id that is no class.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape} but the prediction is {prediction.shape}")
    labelled = truth != IGNORE
    rows, columns = truth[labelled].astype(np.int64), prediction[labelled].astype(np.int64)
    for name, ids in (("truth", rows), ("prediction", columns)):
        if ids.size and not 0 <= ids.min() <= ids.max() < num_classes:
            raise ValueError(f"the {name} has ids outside 0..{num_classes - 1}: {ids.min()}..{ids.max()}")
    counts = np.bincount(rows * num_classes + columns, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union of every class, float64 (C,); NaN if neither labelled nor predicted."""
    hits = np.diag(confusion)
    return _share(hits, confusion.sum(axis=0) + confusion.sum(axis=1) - hits)


def recall(confusion: np.ndarray) -> np.ndarray:
    """Share of each class's labelled pixels that are right, float64 (C,); NaN for a class without any."""
    return _share(np.diag(confusion), confusion.sum(axis=1))


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Share of all labelled pixels that are right; NaN where nothing is labelled."""
    return float(_share(np.trace(confusion), confusion.sum()))


def labelled_classes(confusion: np.ndarray, scored: Sequence[int] | None = None) -> list[int]:
    """Classes with at least one labelled pixel, ascending: the same for every method on the same pictures.

    `scored` are the classes that may count at all (None: every one), as a protocol such as SYNTHIA's names them.
    """
    return [int(c) for c in np.flatnonzero(confusion.sum(axis=1)) if scored is None or c in scored]


def mean_iou(confusion: np.ndarray, classes: Sequence[int] | None = None) -> float:
    """Mean IoU over `classes`, or over all; classes whose IoU is NaN leave the mean. NaN if none is left."""
    values = iou(confusion)
    if classes is not None:
        values = values[list(classes)]
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
