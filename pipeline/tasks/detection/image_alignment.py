"""SADA's image level: a discriminator of the domains on every level of the pyramid (section 8)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 512  # of the hidden convolution, in the paper
DEVIATION = 0.001  # of the first weights, in the published code


class ImageAlignment(nn.Module):
    """Says for every cell of every level which domain it comes from."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(channels) for _ in range(levels))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Feature maps (B, channels, h, w) -> logits (B, 1, h, w) of the source, level by level."""
        return [head(level) for head, level in zip(self.heads, levels, strict=True)]


def image_loss(logits: Sequence[Tensor], domain: float) -> Tensor:
    """Mean cross entropy of the logits (B, 1, h, w) of all levels with `domain`, 1 source or 0 target.

    All are enlarged to the first, the largest, so that levels count alike and corners meet corners.
    """
    size = logits[0].shape[-2:]
    enlarged = torch.cat(
        [F.interpolate(level, size, mode="bilinear", align_corners=True) for level in logits]
    )
    return F.binary_cross_entropy_with_logits(enlarged, torch.full_like(enlarged, domain))


def _head(channels: int) -> nn.Sequential:
    head = nn.Sequential(nn.Conv2d(channels, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, 1, 1))
    for layer in head:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=DEVIATION)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return head
