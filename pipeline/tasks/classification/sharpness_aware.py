"""Sharpness-aware minimisation (SAM; Foret et al., 2021): the gradient is taken where the loss is worst nearby."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class SharpnessAware:
    """Moves weights uphill after a first backward pass, and back after the second, whose gradient counts.

    `rho`: length of the way up, over all weights together; 0.02 in SDAT (section 7).
    """

    def __init__(self, parameters: Iterable[Tensor], rho: float) -> None:
        self.parameters = list(parameters)
        self.rho = rho
        self._before: list[Tensor] = []

    @torch.no_grad()
    def climb(self) -> None:
        """Go up along the gradient, which is then cleared; without a gradient anywhere the weights stay."""
        self._before = [p.clone() for p in self.parameters]
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        for p in self.parameters:
            if p.grad is not None:
                p.add_(p.grad * (self.rho / (norm + 1e-12)))
                p.grad = None

    @torch.no_grad()
    def descend(self) -> None:
        """Go back to where `climb` began; gradients stay."""
        for p, before in zip(self.parameters, self._before, strict=True):
            p.copy_(before)
        self._before = []
