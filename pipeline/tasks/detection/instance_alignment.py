"""SADA's instance level: a discriminator of the domains for the boxes of every level of the pyramid (section 8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 1024  # of both hidden layers, in the paper
DROPOUT = 0.5  # paper
DEVIATION = 0.01  # of the first weights, in the published code


class InstanceAlignment(nn.Module):
    """Says for every box which domain it comes from, by the discriminator of its level."""

    def __init__(self, width: int, levels: int, first_level_only: bool = False) -> None:
        """`width`: of a box's features. `first_level_only`: boxes of other levels get logit 0, the published slip."""
        super().__init__()
        self.heads = nn.ModuleList(_head(width) for _ in range(levels))
        self.first_level_only = first_level_only

    def forward(self, features: Tensor, levels: Tensor) -> Tensor:
        """Features (N, width) of boxes and the level 0.. of each (N,) -> logits (N,) of the source."""
        logits = features.new_zeros(len(features))
        for level, head in enumerate(self.heads):
            (rows,) = (levels == level).nonzero(as_tuple=True)
            if len(rows) and not (level and self.first_level_only):
                logits = logits.index_put((rows,), head(features[rows]).squeeze(1))
        return logits


def instance_loss(logits: Tensor, domain: float) -> Tensor:
    """Mean cross entropy of logits (N,) with `domain`, 1 source or 0 target; 0 without boxes."""
    if not len(logits):
        return logits.sum()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, domain))


def _head(width: int) -> nn.Sequential:
    head = nn.Sequential(
        nn.Linear(width, WIDTH),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(WIDTH, 1),
    )
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=DEVIATION)
            nn.init.zeros_(layer.bias)
    return head
