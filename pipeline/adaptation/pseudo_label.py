"""Pseudo labels and their weight from the teacher's logits (method page, section 1.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PseudoLabel:
    """What the teacher says of a batch of pictures."""

    label: Tensor  # (B, H, W) int64
    weight: Tensor  # (B, H, W) float32, of each pixel's loss
    fraction: Tensor  # () float32, share of confident pixels in the whole batch
    confidence: Tensor  # (B, H, W) float32, largest softmax value


@torch.no_grad()
def pseudo_label(
    logits: Tensor,
    tau: float | None,
    ignore_top: int = 0,
    ignore_bottom: int = 0,
    valid_mask: Tensor | None = None,
) -> PseudoLabel:
    """Label and weight every pixel of logits (B, C, H, W) given at the size of the pictures.

    The weight is one number for the whole batch: the share of pixels with confidence >= `tau`, or 1 where
    `tau` is None. After that, the first `ignore_top` and last `ignore_bottom` rows get weight
    0, and `valid_mask` (B, 1, H, W) is multiplied in.
    """
    with torch.autocast(logits.device.type, enabled=False):
        # In bfloat16 a confidence of 0.967 would become 0.96875 and pass tau = 0.968.
        confidence, label = logits.float().softmax(dim=1).max(dim=1)  # both (B, H, W)
        confident = confidence >= (0 if tau is None else tau)
        fraction = confident.float().mean()
        weight = fraction.expand_as(confidence).clone()
        weight[:, :ignore_top] = 0
        weight[:, weight.shape[1] - min(ignore_bottom, weight.shape[1]) :] = 0
        if valid_mask is not None:
            weight = weight * valid_mask.float().squeeze(1)
    return PseudoLabel(label, weight, fraction, confidence)
