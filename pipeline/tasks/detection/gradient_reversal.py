"""Scaling the gradient on its way back, by a negative number to reverse it (Ganin and Lempitsky, 2015)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None


def scale_gradient(values: Tensor, factor: float) -> Tensor:
    """The values as they are; what comes back through them is multiplied by `factor`."""
    scaled: Any = _Scaled.apply(values, factor)
    return scaled
