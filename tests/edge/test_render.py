"""Drawing: colours, overlay, outlines, shares and the PNGs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.edge import render
from pipeline.edge.classes import CLASSES, IGNORE


@pytest.fixture
def halves() -> np.ndarray:
    """Left half sky, right half road, one unlabelled pixel."""
    classes = np.full((6, 8), 10, np.uint8)
    classes[:, 4:] = 0
    classes[0, 0] = IGNORE
    return classes


def test_colour_follows_the_palette(halves: np.ndarray) -> None:
    drawn = render.colour(halves)
    assert tuple(drawn[3, 3]) == CLASSES[10].rgb
    assert tuple(drawn[3, 5]) == CLASSES[0].rgb
    assert tuple(render.colour(halves, safe=True)[3, 5]) == CLASSES[0].safe_rgb
    assert tuple(drawn[0, 0]) == (0, 0, 0)


def test_overlay_mixes_by_opacity_and_leaves_unknown_pixels(halves: np.ndarray) -> None:
    picture = np.full((6, 8, 3), 100, np.uint8)
    mixed = render.overlay(picture, halves, opacity=0.25)
    np.testing.assert_allclose(mixed[3, 3], 0.75 * 100 + 0.25 * np.array(CLASSES[10].rgb), atol=1)
    assert tuple(mixed[0, 0]) == (100, 100, 100)
    np.testing.assert_array_equal(render.overlay(picture, halves, opacity=0), picture)
    assert tuple(render.overlay(picture, halves, opacity=1, safe=True)[3, 5]) == CLASSES[0].safe_rgb
    assert (picture == 100).all()


def test_a_large_picture_drawn_in_strips_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (25, 40, 3), np.uint8)
    classes = random.integers(0, 25, (25, 40)).astype(np.uint8)  # 19 to 24: no class
    whole = render.overlay(picture, classes)
    for pixels in (1, 40, 270):  # a row, a row, six rows and one left over
        monkeypatch.setattr(render, "_STRIP_PIXELS", pixels)
        np.testing.assert_array_equal(render.overlay(picture, classes), whole)


def test_outlines_lie_where_classes_meet(halves: np.ndarray) -> None:
    picture = np.full((6, 8, 3), 100, np.uint8)
    drawn = render.overlay(picture, halves, opacity=0, outlines=True)
    white = (drawn == 255).all(2)
    np.testing.assert_array_equal(white, render.borders(halves))
    assert white[3].tolist() == [False, False, False, True, True, False, False, False]
    assert not render.borders(np.zeros((1, 9), np.uint8)).any()


def test_outlines_grow_with_the_picture() -> None:
    classes = np.zeros((10, 4000), np.uint8)
    classes[:, 2000:] = 1
    assert render.borders(classes)[5].sum() == 8


def test_overlay_refuses_other_sizes_and_opacities(halves: np.ndarray) -> None:
    with pytest.raises(ValueError, match="differ in size"):
        render.overlay(np.zeros((6, 9, 3), np.uint8), halves)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        render.overlay(np.zeros((6, 8, 3), np.uint8), halves, opacity=1.5)


def test_shares_count_every_pixel_largest_first(halves: np.ndarray) -> None:
    assert render.class_shares(halves) == {0: 24 / 48, 10: 23 / 48}
    assert list(render.class_shares(halves)) == [0, 10]
    assert render.class_shares(np.full((2, 2), IGNORE, np.uint8)) == {}


def test_legend_names_what_occurs(halves: np.ndarray) -> None:
    road, sky = render.legend(halves, safe=True)
    assert (road.name, sky.name) == ("road", "sky")
    assert sky.colour == CLASSES[10].safe_rgb
    assert sky.share == 23 / 48


def test_pngs_hold_the_values(halves: np.ndarray) -> None:
    index = Image.open(io.BytesIO(render.index_png(halves)))
    assert index.mode == "L"
    np.testing.assert_array_equal(np.array(index), halves)
    confidence = Image.open(io.BytesIO(render.confidence_png(np.array([[0, 0.5], [1, 0.2]], np.float32))))
    assert np.array(confidence).tolist() == [[0, 128], [255, 51]]
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(render.overlay_png(picture)))), picture)
    jpeg = Image.open(io.BytesIO(render.overlay_jpeg(picture)))
    assert (jpeg.format, jpeg.size) == ("JPEG", (8, 6))
