"""A timm encoder with a bottleneck and a linear classifier (method page, section 7)."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from pipeline.edge.errors import UserError


class Classifier(nn.Module):
    """Normalised pictures (B, 3, H, W) -> logits (B, C) and the bottleneck's features (B, F), which domains share."""

    def __init__(self, encoder: str, classes: int, bottleneck: int = 256) -> None:
        """`encoder`: a name of timm's, pooled as it comes (class token or mean); `bottleneck`: F, 256 in the paper.

        Raises:
            UserError: timm has no such network.
        """
        super().__init__()
        if not timm.is_model(encoder):
            raise UserError(f"network.encoder {encoder!r}: timm has no network of this name")
        self.encoder: Any = timm.create_model(encoder, pretrained=False, num_classes=0)
        with torch.no_grad():
            size = self.encoder.pretrained_cfg["input_size"][-2:]
            width = self.encoder.eval()(torch.zeros(1, 3, *size)).shape[1]
        self.encoder.train()
        self.bottleneck = nn.Sequential(nn.Linear(width, bottleneck), nn.BatchNorm1d(bottleneck), nn.ReLU())
        self.head = nn.Linear(bottleneck, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and features."""
        features = self.bottleneck(self.encoder(images))
        return self.head(features), features
