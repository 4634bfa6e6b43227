"""Paired bootstrap over validation images: how sure is the gain of one method over another (Efron, 1979).

Both methods saw the same images, so an image is drawn for both or for neither. The interval
tells what another choice of images could have shown; it says nothing about other training seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gain:
    """What a method gains over a baseline, as differences of IoU in -1..1; NaN for a class without labels."""

    miou: float
    miou_ci95: tuple[float, float] | None  # None for fewer than two images: there is nothing to draw from
    per_class: np.ndarray  # (C,)
    per_class_ci95: np.ndarray  # (C, 2)


def paired_bootstrap(
    baseline: np.ndarray,
    method: np.ndarray,
    draws: int = 1000,
    seed: int = 0,
    scored: Sequence[int] | None = None,
) -> Gain:
    """Gain of `method` over `baseline` with its 95 % percentile interval.

    Args:
        baseline, method: (n, C, C) per-image confusion matrices of the same images in the same
            order, rows = truth.
        draws: number of resamples, each n images with replacement.
        seed: the same seed draws the same images.
        scored: classes that count; None for all.

    Raises:
        ValueError: no image, or the two do not belong to the same labels.
    """
    if baseline.shape != method.shape or not len(baseline):
        raise ValueError(
            f"confusion matrices of the same images are needed, got {baseline.shape} and {method.shape}"
        )
    if (baseline.sum(axis=2) != method.sum(axis=2)).any():
        raise ValueError("the two methods were scored against different labels")
    before, after = _counts(baseline, scored), _counts(method, scored)
    once = np.ones((1, len(baseline)))
    iou_before, iou_after = _iou(once, before)[0], _iou(once, after)[0]
    per_class = iou_after - iou_before
    miou = float(np.nanmean(per_class))
    if len(baseline) < 2:
        return Gain(miou, None, per_class, np.full((len(per_class), 2), np.nan))

    # How often each image is drawn; (draws, n). Counts add up over images, so a matrix product resamples.
    n = len(baseline)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)
    drawn = _iou(times, after) - _iou(times, before)  # (draws, C)
    interval = _interval(_mean_known(drawn)[:, None])[0]
    return Gain(miou, (float(interval[0]), float(interval[1])), per_class, _interval(drawn))


def _counts(confusion: np.ndarray, scored: Sequence[int] | None) -> np.ndarray:
    """(n, C, C) -> (3, n, C): right pixels, labelled pixels, predicted pixels of every image and class.

    A class that is not scored counts as one without labels.
    """
    counts = np.stack(
        [np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=2), confusion.sum(axis=1)]
    ).astype(np.float64)
    if scored is not None:
        counts[:, :, np.setdiff1d(np.arange(confusion.shape[-1]), scored)] = 0
    return counts


def _iou(times: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """IoU (draws, C) of the images taken `times` (draws, n) each; NaN for a class without labels."""
    right, labelled, predicted = times @ counts
    iou = np.full(right.shape, np.nan)
    np.divide(right, labelled + predicted - right, out=iou, where=labelled > 0)
    return iou


def _mean_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN where nothing is known."""
    known = np.isfinite(values)
    mean = np.full(values.shape[:-1], np.nan)
    np.divide(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1), out=mean, where=known.any(axis=-1))
    return mean


def _interval(values: np.ndarray) -> np.ndarray:
    """(draws, C) -> (C, 2): 2.5 and 97.5 percentile of each column without NaN."""
    out = np.full((values.shape[1], 2), np.nan)
    for column, target in zip(values.T, out, strict=True):
        known = column[np.isfinite(column)]
        if len(known):
            target[:] = np.percentile(known, [2.5, 97.5])
    return out
