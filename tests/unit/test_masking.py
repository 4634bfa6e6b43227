"""Block masks beyond the golden vectors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.adaptation.masking import block_mask, mask_grid

pytestmark = pytest.mark.floats


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 12), columns=st.integers(1, 12), height=st.integers(1, 400), width=st.integers(1, 400)
)
def test_enlarging_takes_the_floor_of_the_exact_quotient(
    rows: int, columns: int, height: int, width: int
) -> None:
    grid = torch.rand(1, 1, rows, columns, generator=generator(rows * 13 + columns))
    mask = block_mask(grid, 0.5, height, width)[0, 0]
    keep = grid[0, 0] > 0.5
    wanted = [
        [bool(keep[y * rows // height, x * columns // width]) for x in range(width)] for y in (0, height - 1)
    ]
    assert mask.shape == (height, width)
    assert mask[[0, height - 1]].bool().tolist() == wanted
    assert mask[:, 0].bool().tolist() == [bool(keep[y * rows // height, 0]) for y in range(height)]


def test_a_cell_equal_to_the_ratio_is_hidden() -> None:
    grid = torch.tensor([[[[0.7, 0.70001], [0.0, 1.0]]]])
    assert block_mask(grid, 0.7, 2, 2)[0, 0].tolist() == [[0, 1], [0, 1]]
    assert block_mask(grid, 0.0, 2, 2)[0, 0].tolist() == [[1, 1], [0, 1]]
    assert block_mask(grid, 1.0, 2, 2).sum() == 0


def test_share_of_hidden_cells_is_the_ratio() -> None:
    grid = mask_grid(64, 512, 512, 32, generator())
    assert grid.shape == (64, 1, 16, 16)
    assert abs(1 - block_mask(grid, 0.7, 512, 512).mean().item() - 0.7) < 0.02


def test_every_picture_has_its_own_mask_and_a_seed_repeats() -> None:
    grid = mask_grid(2, 128, 128, 32, generator())
    assert not torch.equal(grid[0], grid[1])
    assert torch.equal(grid, mask_grid(2, 128, 128, 32, generator()))
    assert not torch.equal(grid, mask_grid(2, 128, 128, 32, generator(1)))


def test_a_block_larger_than_the_picture_still_makes_one_cell() -> None:
    assert mask_grid(1, 16, 100, 64, generator()).shape == (1, 1, 1, 2)
