"""Pixel-wise cross entropy with the method's mean over all pixels (method page, section 1.6)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.edge.classes import IGNORE


def enlarge(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (B, C, h, w) -> float32 (B, C, *size), bilinear with half-pixel centres, also under autocast."""
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float()
        if tuple(logits.shape[-2:]) == tuple(size):
            return logits
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def cross_entropy(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over all pixels of weight x cross entropy: a float32 scalar.

    logits (B, C, h, w) are enlarged to label (B, H, W), int64; weight is float (B, H, W). Ignored (255) and
    zero-weight pixels add nothing but stay in the denominator, so that a batch with nothing labelled gives 0.
    """
    with torch.autocast(logits.device.type, enabled=False):
        enlarged = enlarge(logits, (label.shape[-2], label.shape[-1]))
        losses = F.cross_entropy(enlarged, label, reduction="none", ignore_index=IGNORE)  # (B, H, W)
        if weight is not None:
            losses = losses * weight.float()
        return losses.mean()
