"""Block masks beyond the golden vectors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.adaptation.masking import Masks, block_mask, mask_grid
from pipeline.params.uda import Uda

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


def test_a_ramp_ends_at_the_full_ratio_and_starts_at_its_own() -> None:
    ramp = Masks(Uda(mask_ratio=0.7, mask_ratio_start=0.1, start_step=20), steps=81)
    assert [ramp.ratio(step) for step in (20, 50, 80)] == pytest.approx([0.1, 0.4, 0.7])
    falling = Masks(Uda(mask_ratio=0.0, mask_ratio_start=0.8, start_step=20, mask_start_step=40), steps=81)
    assert [falling.ratio(step) for step in (40, 60, 80)] == pytest.approx([0.8, 0.4, 0.0])
    constant = Masks(Uda(mask_ratio=0.7, start_step=20), steps=81)
    assert {constant.ratio(step) for step in range(20, 81)} == {0.7}
    assert (
        Masks(Uda(mask_ratio=0.7, mask_ratio_start=0.1), steps=1).ratio(0) == 0.1
    )  # one step: no ramp to climb


def test_a_ramp_hides_its_share() -> None:
    ramp = Masks(Uda(mask_block=1, mask_ratio=0.9, mask_ratio_start=0.3), steps=11)
    pictures = torch.zeros(1, 3, 100, 100)
    for step, share in ((0, 0.3), (5, 0.6), (10, 0.9)):
        assert ramp.draw(pictures, step, generator()).mean().item() == pytest.approx(1 - share, abs=0.03)


def test_complementary_masks_show_every_pixel_in_one_of_two_copies() -> None:
    masks = Masks(Uda(mask_mode="complementary", mask_block=8), steps=10)
    keep = masks.draw(torch.zeros(6, 3, 40, 72), 0, generator())
    assert keep.shape == (6, 1, 40, 72)
    assert torch.equal(keep[:3] + keep[3:], torch.ones(3, 1, 40, 72))
    assert not torch.equal(keep[0], keep[1])


@pytest.mark.parametrize("fill", ["grey", "own"])
def test_hidden_pixels_have_the_colour_of_the_fill(fill: str) -> None:
    masks = Masks(Uda.model_validate({"mask_fill": fill, "mask_block": 4}), steps=10)
    pictures = torch.randn(2, 3, 16, 24, generator=generator(3)) + torch.tensor([1.0, 5.0]).view(2, 1, 1, 1)
    keep = masks.draw(pictures, 0, generator()).expand_as(pictures)
    shown = masks.hide(pictures, keep[:, :1])
    assert torch.equal(shown[keep == 1], pictures[keep == 1])
    wanted = pictures.mean(dim=(2, 3)) if fill == "own" else torch.zeros(2, 3)
    for picture in range(2):
        for channel in range(3):
            hidden = shown[picture, channel][keep[picture, channel] == 0]
            assert len(hidden)
            assert torch.equal(hidden, wanted[picture, channel].expand_as(hidden))
