"""Random block masks that hide parts of a picture (method page, section 1.4)."""

from __future__ import annotations

import torch
from torch import Tensor


def mask_grid(batch: int, height: int, width: int, block: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1) for every cell of every picture, float32 (B, 1, rows, columns).

    About `block` pixels a cell: rows = round(height/block), half to even, at least one.
    """
    rows, columns = max(round(height / block), 1), max(round(width / block), 1)
    return torch.rand((batch, 1, rows, columns), generator=generator, device=generator.device)


def block_mask(grid: Tensor, ratio: float, height: int, width: int) -> Tensor:
    """1 where a cell's number is strictly greater than `ratio`, else 0; float32 (B, 1, height, width).

    Multiply it onto normalised pictures: hidden pixels become the mean colour.
    """
    rows, columns = grid.shape[-2:]
    # Integer arithmetic, since torch's nearest enlargement multiplies by a rounded scale.
    row_of = torch.arange(height, device=grid.device) * rows // height
    column_of = torch.arange(width, device=grid.device) * columns // width
    keep = (grid > ratio).float()
    return keep[..., row_of, :][..., column_of]
