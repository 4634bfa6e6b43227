"""Normalisation: layouts, its inverse, and zero as the mean colour."""

from __future__ import annotations

import pytest
import torch

from pipeline.networks.normalise import MEAN, STD, denormalise, normalise, renormalise

pytestmark = pytest.mark.floats


def test_both_layouts_give_the_same() -> None:
    last = torch.randint(0, 256, (2, 5, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    first = last.permute(0, 3, 1, 2)
    assert normalise(last).shape == (2, 3, 5, 7)
    assert torch.equal(normalise(last), normalise(first))
    red = (last[1, 2, 4, 0].item() - MEAN[0]) / STD[0]
    assert normalise(last)[1, 0, 2, 4].item() == pytest.approx(red, abs=1e-5)


def test_zero_is_the_mean_colour_and_denormalising_goes_back() -> None:
    assert denormalise(torch.zeros(1, 3, 1, 1)).flatten().tolist() == pytest.approx([m / 255 for m in MEAN])
    images = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(renormalise(denormalise(images)), images, atol=1e-5)
    pixels = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    assert torch.allclose(denormalise(normalise(pixels)) * 255, pixels.float(), atol=1e-3)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 4, 4), (1, 1, 4, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        normalise(torch.zeros(shape))
