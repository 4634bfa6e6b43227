"""Pseudo labels of pictures and their weight, from the teacher's logits (method page, section 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class PseudoLabel:
    """What the teacher says of a batch of pictures."""

    label: Tensor  # (B,) int64
    weight: Tensor  # (B,) float32, the teacher's probability of it


@torch.no_grad()
def pseudo_label(logits: Tensor) -> PseudoLabel:
    """Of logits (B, C)."""
    with torch.autocast(logits.device.type, enabled=False):
        weight, label = logits.float().softmax(dim=1).max(dim=1)
    return PseudoLabel(label, weight)


def weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over the pictures, () float32, of weight (B,) times the cross entropy of logits (B, C) and label (B,)."""
    with torch.autocast(logits.device.type, enabled=False):
        loss = F.cross_entropy(logits.float(), label, reduction="none")
        return (loss if weight is None else weight * loss).mean()
