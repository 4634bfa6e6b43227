"""Pixel-wise cross entropy with the method's mean over all pixels (method page, section 1.6)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.edge.classes import IGNORE
from pipeline.networks.hrda import MultiScale
from pipeline.networks.windows import cut, resize


def enlarge(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (B, C, h, w) -> float32 (B, C, *size), bilinear with half-pixel centres, also under autocast."""
    with torch.autocast(logits.device.type, enabled=False):
        return resize(logits.float(), size)


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


def segmentation_loss(output: Tensor | MultiScale, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross entropy of a network's training output: of plain logits, or of both of HRDA's scales (section 3.4).

    label and weight (B, H, W) are those of the whole crop; the detail logits see their window of them.
    """
    if isinstance(output, Tensor):
        return cross_entropy(output, label, weight)
    fused = cross_entropy(output.fused, label, weight)
    detail_label, detail_weight = cut(label, output.box), None if weight is None else cut(weight, output.box)
    detail = cross_entropy(output.detail, detail_label, detail_weight)
    return (1 - output.detail_weight) * fused + output.detail_weight * detail


def logits_of(output: Tensor | MultiScale) -> Tensor:
    """The logits (B, C, h, w) of the whole picture in a network's output."""
    return output if isinstance(output, Tensor) else output.fused
