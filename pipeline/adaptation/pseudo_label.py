"""Pseudo labels and their weight from the teacher's logits (method page, section 1.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PseudoLabel:
    """What the teacher says of a batch: label int64 and weight float32 (B, H, W), the share of confident pixels
    of the whole batch (scalar, float32) and the confidence, i.e. the largest softmax value, float32 (B, H, W)."""

    label: Tensor
    weight: Tensor
    fraction: Tensor
    confidence: Tensor


@torch.no_grad()
def pseudo_label(
    logits: Tensor,
    tau: float | None,
    ignore_top: int = 0,
    ignore_bottom: int = 0,
    valid_mask: Tensor | None = None,
) -> PseudoLabel:
    """Label and weight every pixel of logits (B, C, H, W) given at the size of the pictures.

    The weight is one number for the whole batch: the share of pixels with confidence >= `tau`; 1 where `tau` is
    None. The first `ignore_top` and last `ignore_bottom` rows get weight 0, and `valid_mask` (B, 1, H, W) is
    multiplied in; both after the share is counted.
    """
    with torch.autocast(logits.device.type, enabled=False):
        # In bfloat16 a confidence of 0.967 would become 0.96875 and pass tau = 0.968.
        confidence, label = logits.float().softmax(dim=1).max(dim=1)  # both (B, H, W)
        if tau is None:
            fraction = torch.ones((), device=logits.device)
        else:
            fraction = (confidence >= tau).float().mean()
        weight = fraction.expand_as(confidence).clone()
        weight[:, :ignore_top] = 0
        weight[:, weight.shape[1] - min(ignore_bottom, weight.shape[1]) :] = 0
        if valid_mask is not None:
            weight = weight * valid_mask.float().squeeze(1)
    return PseudoLabel(label, weight, fraction, confidence)
