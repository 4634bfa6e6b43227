"""The graph that ships: pixels in, boxes, labels and scores out, normalisation and suppression inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.networks.normalise import MEAN, STD
from pipeline.tasks.detection.detector import Detector


class DetectorGraph(nn.Module):
    """uint8 picture (1, H, W, 3), RGB -> boxes float32 (D, 4), labels int64 (D,), scores float32 (D,), best first.

    Boxes are x1, y1, x2, y2 in pixels of the picture; labels are the class ids of the manifest, from 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Detector) -> None:
        super().__init__()
        self.network = network.eval()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        # Cast first: TensorRT takes uint8 at a graph's border alone.
        normalised = (image.to(self.mean.dtype).permute(0, 3, 1, 2) - self.mean) / self.std
        (found,) = self.network(normalised)
        return found.corners, found.labels, found.scores
