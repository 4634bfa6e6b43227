"""A network that sees pictures smaller than they are: an edge model's cheapest saving."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from pipeline.networks.encoder_decoder import STRIDE, SegmentationNetwork


class Shrunk(SegmentationNetwork):
    """A segmenter on pictures averaged over `factor` x `factor` pixels: a factor of 2 leaves a quarter of the work.

    The logits' stride in pixels of the picture is `factor` times the decoder's own.
    """

    def __init__(self, network: SegmentationNetwork, factor: int) -> None:
        super().__init__(network.encoder, network.decoder, network.segmentation_head)
        self.factor = factor
        self.size_multiple = STRIDE * factor

    def stages(self, images: Tensor) -> Any:
        """See SegmentationNetwork."""
        return self.encoder(F.avg_pool2d(images, self.factor))
