"""Boxes of one picture: what is true, what the teacher says, what the network finds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image, remove_small_boxes

SMALLEST = 1e-2  # pixels a side, as torchvision drops smaller detections


@dataclass(frozen=True)
class Boxes:
    """N boxes of one picture, which may be none."""

    corners: Tensor  # (N, 4) float32: x1, y1, x2, y2 in pixels
    labels: Tensor  # (N,) int64, class ids from 0
    scores: Tensor  # (N,) float32 in 0..1; 1 for what is true

    @classmethod
    def true(cls, corners: Tensor, labels: Tensor) -> Boxes:
        """Boxes from labels."""
        return cls(corners, labels, torch.ones(len(corners), device=corners.device))

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, chosen: Tensor) -> Boxes:
        return Boxes(self.corners[chosen], self.labels[chosen], self.scores[chosen])

    def clipped(self, height: float, width: float) -> Boxes:
        """The parts within a picture of height x width; boxes outside are dropped."""
        inside = Boxes(clip_boxes_to_image(self.corners, (int(height), int(width))), self.labels, self.scores)
        return inside[remove_small_boxes(inside.corners, SMALLEST)]

    def confident(self, tau: float) -> Boxes:
        """Those with a score >= `tau`."""
        return self[self.scores >= tau]


def truth_of(batch: dict[str, Tensor], domain: str, pictures: int) -> list[Boxes]:
    """The boxes of each of a batch's `pictures` of a domain, "source" or "target"."""
    owner = batch[f"{domain}_owner"]
    corners, labels = batch[f"{domain}_boxes"], batch[f"{domain}_labels"]
    return [Boxes.true(corners[owner == i], labels[owner == i]) for i in range(pictures)]
