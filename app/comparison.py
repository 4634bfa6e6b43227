"""Two segmentations of one picture compared: share of each class, what changed, and into what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.edge.classes import CLASSES, NUM_CLASSES


@dataclass(frozen=True)
class ClassShare:
    """A class's share of the picture (0..1) in the first and in the second segmentation."""

    id: int
    name: str
    before: float
    after: float

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Swap:
    """Pixels that were class `before` and became class `after`, as a share of the picture (0..1)."""

    before: str
    after: str
    share: float


@dataclass(frozen=True)
class Comparison:
    """Shares of the classes that occur, share of pixels that changed (0..1), every swap, largest first."""

    shares: tuple[ClassShare, ...]
    changed: float
    swaps: tuple[Swap, ...]

    def as_json(self, swaps: int = 5) -> dict[str, Any]:
        """Plain numbers for the endpoint; shares in 0..1, the `swaps` largest swaps."""
        return {
            "classes": [
                {"id": s.id, "name": s.name, "before": s.before, "after": s.after, "change": s.change}
                for s in self.shares
            ],
            "changed": self.changed,
            "swaps": [{"from": s.before, "to": s.after, "share": s.share} for s in self.swaps[:swaps]],
        }


def compare(before: np.ndarray, after: np.ndarray) -> Comparison:
    """Compare two class maps, both uint8 (H, W) with train ids below 19.

    `shares` is sorted by the larger of the two shares, `swaps` by share. ValueError if the shapes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"class maps of different shapes: {before.shape} and {after.shape}")
    pairs = before.astype(np.uint16) * NUM_CLASSES + after
    counts = np.bincount(pairs.ravel(), minlength=NUM_CLASSES**2)[: NUM_CLASSES**2]
    share = counts.reshape(NUM_CLASSES, NUM_CLASSES) / before.size
    first, second = share.sum(axis=1), share.sum(axis=0)
    shares = [
        ClassShare(c.id, c.name, float(first[c.id]), float(second[c.id]))
        for c in CLASSES
        if first[c.id] or second[c.id]
    ]
    swaps = [
        Swap(CLASSES[i].name, CLASSES[j].name, float(share[i, j]))
        for i, j in np.argwhere(share).tolist()
        if i != j
    ]
    return Comparison(
        shares=tuple(sorted(shares, key=lambda s: -max(s.before, s.after))),
        changed=float(1.0 - np.trace(share)),
        swaps=tuple(sorted(swaps, key=lambda s: -s.share)),
    )
