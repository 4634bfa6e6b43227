"""Whether a picture can be a photo of a street at all: by simple statistics, and never by what a network says of it."""

from __future__ import annotations

import numpy as np

from pipeline.edge.images import resize_image

MIN_SIDE = 32
"""Pixels; smaller pictures hold no object."""

MAX_ASPECT = 6.0

# Each bound lies well outside of what 5000 street pictures by day, night, fog, rain and snow have (docs/serving.md).
MIN_SPREAD = 20.0
"""Levels of grey between the darkest and the brightest 0.5 % of the pixels."""

MAX_FIVE_COLOURS = 0.9
"""Share of the pixels that have one of the five commonest colours."""

MIN_CORRELATION = 0.6
"""Of neighbouring pixels at 128 x 128."""

MIN_KURTOSIS = 5.0
"""Of the steps between neighbouring pixels at 128 x 128: objects have few sharp edges among many flat places; noise of
any colour has 3, a ramp 1."""

MAX_THREE_WAVES = 0.9995
"""Share of the contrast that three products of a row and a column explain: stripes, checks and gradients."""


def doubt(picture: np.ndarray) -> str:
    """Why uint8 (H, W, 3) is no street picture that a model can judge, as one sentence; "" when it may be one."""
    reason = _reason(picture)
    return (
        f"This is no street picture that the model can judge: {reason}; choose a photo of a street."
        if reason
        else ""
    )


def _reason(picture: np.ndarray) -> str:
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE:
        return f"{width} × {height} pixels are too few"
    if max(height, width) > MAX_ASPECT * min(height, width):
        return f"{width} × {height} pixels are too narrow a strip"
    grey = _grey(picture)
    low, high = np.percentile(grey, (0.5, 99.5))
    if high - low < MIN_SPREAD:
        return "it is all but one colour"
    if _five_colours(picture) > MAX_FIVE_COLOURS:
        return "it has a few flat colours only"
    small = _grey(resize_image(picture, (128, 128)))
    rows, columns = np.diff(small, axis=0), np.diff(small, axis=1)
    if min(_correlation(small[1:], small[:-1]), _correlation(small[:, 1:], small[:, :-1])) < MIN_CORRELATION:
        return "it is noise"
    waves = np.linalg.svd(small - small.mean(), compute_uv=False) ** 2
    if waves[:3].sum() > MAX_THREE_WAVES * waves.sum():
        return "it is a pattern without objects"
    if _kurtosis(np.concatenate([rows.ravel(), columns.ravel()])) < MIN_KURTOSIS:
        return "it is noise or a smooth pattern without objects"
    return ""


def _grey(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def _five_colours(picture: np.ndarray) -> float:
    colours = picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    counts = np.unique(colours, return_counts=True)[1]
    return float(np.sort(counts)[-5:].sum() / counts.sum())


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).mean() / max(np.sqrt((a * a).mean() * (b * b).mean()), 1e-9))


def _kurtosis(steps: np.ndarray) -> float:
    """Fourth moment over the squared second, about zero."""
    return float((steps**4).mean() / max(float((steps**2).mean()) ** 2, 1e-9))
