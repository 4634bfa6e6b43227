"""Expected calibration error of the largest softmax value, in fixed memory (Guo et al., ICML 2017)."""

from __future__ import annotations

import numpy as np

BINS = 15  # Guo et al., section 3


class Calibration:
    """Sums over the pixels seen so far: for each bin how many, how sure, how many right.

    Bin i holds confidences in (i/15, (i+1)/15]; 0 belongs to the first bin.
    """

    def __init__(self) -> None:
        self.pixels = np.zeros(BINS, np.int64)
        self.confidence = np.zeros(BINS, np.float64)
        self.correct = np.zeros(BINS, np.int64)

    def add(self, confidence: np.ndarray, correct: np.ndarray) -> None:
        """Add labelled pixels: `confidence` float in 0..1 and `correct` bool, of one shape."""
        confidence = confidence.ravel()
        correct = correct.ravel()
        bins = np.clip(np.ceil(confidence * BINS).astype(np.intp) - 1, 0, BINS - 1)
        self.pixels += np.bincount(bins, minlength=BINS)
        self.confidence += np.bincount(bins, weights=confidence, minlength=BINS)
        self.correct += np.bincount(bins[correct], minlength=BINS)

    def error(self) -> float | None:
        """Mean of |share right - confidence| over bins, weighted by pixels; None before any pixel."""
        total = self.pixels.sum()
        if not total:
            return None
        return float(np.abs(self.correct - self.confidence).sum() / total)

    def curve(self) -> list[dict[str, float]]:
        """The reliability curve: mean confidence, share right and share of all pixels of every bin in use."""
        total = self.pixels.sum()
        return [
            {"confidence": float(c / n), "accuracy": float(k / n), "share": float(n / total)}
            for n, c, k in zip(self.pixels, self.confidence, self.correct, strict=True)
            if n
        ]
