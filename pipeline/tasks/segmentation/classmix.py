"""ClassMix: paste half of the source's classes onto the target (method page, section 1.2)."""

from __future__ import annotations

import torch
from torch import Tensor

LABEL_VALUES = 256  # labels are 8-bit: train ids and 255 for ignore


def draw_classes(labels: Tensor, generator: torch.Generator) -> list[Tensor]:
    """For each label map of (B, H, W), ceil(n/2) of the n values that occur in the whole batch.

    255 counts as a value like any other; drawn without replacement. int64 vectors on the labels' device.
    """
    # Candidates of the batch, not of the image: the reference does so and keeps it (DAFormer #19).
    candidates = torch.bincount(labels.flatten(), minlength=LABEL_VALUES).nonzero().flatten()
    count = (len(candidates) + 1) // 2
    chosen = []
    for _ in range(len(labels)):
        order = torch.randperm(len(candidates), generator=generator, device=generator.device)
        chosen.append(candidates[order[:count].to(candidates.device)])
    return chosen


def class_mask(labels: Tensor, chosen: list[Tensor]) -> Tensor:
    """Where each label map of (B, H, W) shows one of its chosen values: bool (B, 1, H, W)."""
    masks = []
    for label, values in zip(labels, chosen, strict=True):
        table = torch.zeros(LABEL_VALUES, dtype=torch.bool, device=labels.device)
        table[values] = True
        masks.append(table[label])
    return torch.stack(masks).unsqueeze(1)


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Source where the mask (B, 1, H, W) is set, else target; pictures (B, C, H, W) or maps (B, H, W)."""
    return torch.where(mask.bool() if source.ndim == 4 else mask.bool().squeeze(1), source, target)
