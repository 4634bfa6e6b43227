"""Random block masks that hide parts of a picture (method page, section 1.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.params.uda import Uda


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


class Masks:
    """What a step hides: random blocks of every picture; the second half may get the complement of the first."""

    def __init__(self, uda: Uda, steps: int) -> None:
        """`steps`: those of the whole training, the last of which has the full ratio."""
        self.uda = uda
        self.steps = steps
        self.complementary = uda.mask_mode.startswith("complementary")

    def ratio(self, step: int) -> float:
        """Share of blocks hidden in `step` (from 0)."""
        first, last = self.uda.mask_ratio_start, self.uda.mask_ratio
        if first is None:
            return last
        start = self.uda.first_masked_step
        return first + (last - first) * (step - start) / max(self.steps - 1 - start, 1)

    def draw(self, images: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """0 where pictures (B, 3, H, W) are hidden, else 1: float32 (B, 1, H, W)."""
        batch, _, height, width = images.shape
        count = batch // 2 if self.complementary else batch
        grid = mask_grid(count, height, width, self.uda.mask_block, generator)
        keep = block_mask(grid, self.ratio(step), height, width).to(images.device)
        return torch.cat([keep, 1 - keep]) if self.complementary else keep

    def hide(self, images: Tensor, keep: Tensor) -> Tensor:
        """Normalised pictures (B, 3, H, W) with the hidden pixels in the colour of `mask_fill`."""
        if self.uda.mask_fill == "grey":
            return images * keep
        return torch.where(keep > 0, images, images.mean(dim=(-2, -1), keepdim=True))
