"""Conditional domain adversarial loss (CDAN; Long et al., 2018), without its entropy weighting (section 7)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.adaptation.gradient_reversal import scale_gradient

SOURCE, TARGET = 1.0, 0.0  # what the discriminator shall say
WIDTH = 1024  # of its two hidden layers, in the paper
RISE_STEPS = 1000  # of the reversal, in the published code


def build_discriminator(classes: int, features: int) -> nn.Sequential:
    """What `joint` makes of an answer, (B, classes * features), -> logits (B, 1): above 0 says source."""
    return nn.Sequential(
        nn.Linear(classes * features, WIDTH),
        nn.BatchNorm1d(WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.BatchNorm1d(WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, 1),
    )


def joint(logits: Tensor, features: Tensor) -> Tensor:
    """Outer product of the probabilities (B, C), as they are, and the features (B, F): (B, C * F)."""
    probability = logits.detach().float().softmax(dim=1)
    return (probability[:, :, None] * features.float()[:, None, :]).flatten(1)


def reversal_factor(step: int) -> float:
    """How much of the reversed gradient reaches the network at `step` (from 0): from 0 towards 1."""
    return 2 / (1 + math.exp(-step / RISE_STEPS)) - 1


def domain_loss(
    discriminator: nn.Module,
    source: tuple[Tensor, Tensor],
    target: tuple[Tensor, Tensor],
    step: int,
) -> Tensor:
    """() float32: how well the discriminator tells the domains apart by logits (B, C) and features (B, F) of each.

    The discriminator learns to; through the reversed gradient the features learn to hide it.
    """
    with torch.autocast(source[0].device.type, enabled=False):
        both = torch.cat([joint(*source), joint(*target)])
        answer = discriminator(scale_gradient(both, -reversal_factor(step))).flatten()
        truth = torch.cat([torch.full((len(source[0]),), SOURCE), torch.full((len(target[0]),), TARGET)])
        return F.binary_cross_entropy_with_logits(answer, truth.to(answer.device))
