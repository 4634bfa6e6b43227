"""Minimum class confusion (MCC; Jin et al., 2020): target answers shall not waver between classes (section 7)."""

from __future__ import annotations

import torch
from torch import Tensor


def class_confusion(logits: Tensor, temperature: float) -> Tensor:
    """Mean share of confusion between classes, () float32 in 0..1, for the logits (B, C) of target pictures.

    `temperature`: 2 for a ViT, 3 for a ResNet in the paper. Pictures count by how certain they are: 1 + exp(-entropy),
    to the mean 1.
    """
    with torch.autocast(logits.device.type, enabled=False):
        probability = (logits.float() / temperature).softmax(dim=1)
        certainty = 1 + (-entropy(probability.detach())).exp()
        weight = len(logits) * certainty / certainty.sum()
        confusion = (probability * weight[:, None]).T @ probability  # (C, C)
        confusion = confusion / confusion.sum(dim=1, keepdim=True)
        return (confusion.sum() - confusion.trace()) / logits.shape[1]


def entropy(probability: Tensor) -> Tensor:
    """In nats, (B,), of probabilities (B, C); a small number keeps the logarithm finite, as published."""
    return -(probability * (probability + 1e-5).log()).sum(dim=1)
