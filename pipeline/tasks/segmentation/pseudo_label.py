"""Pseudo labels and their weight from the teacher's logits (method page, section 1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Weighting = Literal["batch", "pixel", "class", "probability"]


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
    weighting: Weighting = "batch",
) -> PseudoLabel:
    """Label and weight every pixel of logits (B, C, H, W) given at the size of the pictures.

    A pixel is confident where its confidence is >= `tau`; without a `tau` all are. The weight is the confident
    share of the whole batch (the paper), of the pixel itself (1 or 0), or of its class in the batch; or, with a `tau`,
    the confidence. After that, the first `ignore_top` and last `ignore_bottom` rows get weight 0, and `valid_mask`
    (B, 1, H, W) is multiplied in.
    """
    with torch.autocast(logits.device.type, enabled=False):
        # In bfloat16 a confidence of 0.967 would become 0.96875 and pass tau = 0.968.
        confidence, label = logits.float().softmax(dim=1).max(dim=1)  # both (B, H, W)
        confident = confidence >= (0 if tau is None else tau)
        fraction = confident.float().mean()
        match weighting:
            case "batch":
                weight = fraction.expand_as(confidence).clone()
            case "pixel":
                weight = confident.float()
            case "class":
                classes = logits.shape[1]
                pixels = torch.bincount(label.flatten(), minlength=classes)
                sure = torch.bincount(label[confident], minlength=classes)
                weight = (sure / pixels.clamp(min=1))[label]
            case "probability":
                weight = confidence.clone() if tau is not None else torch.ones_like(confidence)
        weight[:, :ignore_top] = 0
        weight[:, weight.shape[1] - min(ignore_bottom, weight.shape[1]) :] = 0
        if valid_mask is not None:
            weight = weight * valid_mask.float().squeeze(1)
    return PseudoLabel(label, weight, fraction, confidence)
