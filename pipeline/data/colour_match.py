"""Source pictures in the colours of target pictures: mean and deviation in Lab (Reinhard et al., Color Transfer
between Images, 2001), which self-training across domains borrows from restoration (He et al., CVPR 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Colours:
    """Mean and standard deviation of a picture's L (0 to 100), a and b, float32 (3,) each."""

    mean: np.ndarray
    deviation: np.ndarray


def colours(image: np.ndarray) -> Colours:
    """Of a picture uint8 (H, W, 3) RGB."""
    lab = _lab(image).reshape(-1, 3)
    return Colours(lab.mean(axis=0), lab.std(axis=0))


def colour_match(image: np.ndarray, wanted: Colours) -> np.ndarray:
    """A picture uint8 (H, W, 3) RGB with the wanted mean and deviation, as far as RGB has such colours."""
    lab, own = _lab(image), colours(image)
    # A picture of one colour has no deviation to stretch.
    stretch = wanted.deviation / np.maximum(own.deviation, np.float32(1e-3))
    matched = cv2.cvtColor((lab - own.mean) * stretch + wanted.mean, cv2.COLOR_LAB2RGB)
    return (matched.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _lab(image: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))
