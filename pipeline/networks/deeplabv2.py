"""DeepLabV2's decoder (method page, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from pipeline.edge.classes import NUM_CLASSES
from pipeline.networks.daformer import classifier


class Deeplabv2Decoder(nn.Module):
    """Sum of dilated 3x3 convolutions from the last encoder stage straight to the classes, without norm or dropout."""

    def __init__(
        self,
        encoder_channels: Sequence[int],
        dilations: Sequence[int] = (6, 12),  # the paper's reduced variant; the classic one is 6, 12, 18, 24
        classes: int = NUM_CLASSES,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            classifier(encoder_channels[-1], classes, kernel=3, dilation=d) for d in dilations
        )

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Encoder stages, the last one (B, C, h, w), -> logits (B, classes, h, w)."""
        return reduce(torch.add, (branch(stages[-1]) for branch in self.branches))
