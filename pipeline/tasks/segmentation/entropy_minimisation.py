"""Entropy minimisation: the student is to be sure of its answers on the target (method page, section 1.7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.tasks.segmentation.cross_entropy import logits_of
from pipeline.tasks.segmentation.uda import UdaMethod


class EntropyMinimisation(UdaMethod):
    """Mean entropy of the student's predictions on target pictures, at the resolution of its logits."""

    target_pass = "entropy"

    def target_loss(
        self, target: Tensor, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Tensor:
        """Weighted as `entropy_weight` says."""
        logits = logits_of(self.student(target))
        self.view.target_prediction = logits.detach()
        with torch.autocast(logits.device.type, enabled=False):
            probabilities = logits.float().softmax(dim=1)
            return self.uda.entropy_weight * entropy(probabilities).mean()


def entropy(probabilities: Tensor) -> Tensor:
    """-sum p log2 p / log2 C of class probabilities (B, C, H, W): (B, H, W), in 0..1."""
    information = (probabilities * (probabilities + 1e-30).log2()).sum(dim=1)
    return -information / math.log2(probabilities.shape[1])
