"""Pictures are shown at 1280 pixels at most, and never enlarged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits import MAX_SIDE, shown_picture, shown_size


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((720, 1280), (720, 1280)),
        ((2, 2), (2, 2)),
        ((1080, 1920), (720, 1280)),
        ((1920, 1080), (1280, 720)),
        ((6000, 10000), (768, 1280)),
        ((2, 100_000), (1, 1280)),
    ],
)
def test_longest_side(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert shown_size(*size) == shown


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_fits_and_keeps_the_aspect(height: int, width: int) -> None:
    shown_height, shown_width = shown_size(height, width)
    assert max(shown_height, shown_width) == min(MAX_SIDE, max(height, width))
    scale = max(shown_height, shown_width) / max(height, width)
    assert abs(shown_height - height * scale) <= 1
    assert abs(shown_width - width * scale) <= 1


def test_small_pictures_stay_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert np.array_equal(shown_picture(image), image)


def test_large_pictures_keep_their_content() -> None:
    image = np.zeros((100, 2560, 3), np.uint8)
    image[:, 1280:] = 200
    shown = shown_picture(image)
    assert shown.shape == (50, 1280, 3)
    assert shown[:, :630].max() == 0
    assert shown[:, 650:].min() == 200
