"""Overlays drawn on a video's own planes against the ones that are drawn in RGB."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from pipeline.edge import render
from pipeline.edge.classes import CLASSES, NUM_CLASSES
from pipeline.edge.container import VideoReader
from pipeline.edge.planes import PlaneOverlay
from pipeline.edge.sources import Source
from pipeline.edge.video_writer import VideoWriter

av = pytest.importorskip("av")

BT709, UNSAID, BT470BG, SMPTE170M, BT2020 = 1, 2, 5, 6, 9
LIMITED, FULL = 1, 2
BLOCK = 8  # of one class, so that chroma of 2 x 2 pixels has one colour within
HEIGHT, WIDTH = 6 * BLOCK, 10 * BLOCK  # of 80 bytes a row, which the decoder's rows exceed


@pytest.fixture
def classes() -> np.ndarray:
    """All 19 classes, three times each, as blocks."""
    ids = np.arange(60) % NUM_CLASSES
    return np.kron(ids.reshape(6, 10), np.ones((BLOCK, BLOCK), int)).astype(np.uint8)


def decoded(
    pixel_format: str, matrix: int, colour_range: int, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Any:
    """A smooth picture as a decoder gives it."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    image = np.stack([rows * 3 + 40, columns * 2 + 30, 200 - rows - columns], -1).astype(np.uint8)
    swscale = BT470BG if matrix in (UNSAID, SMPTE170M) else matrix
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(
        format=pixel_format, dst_colorspace=swscale, dst_color_range=colour_range
    )
    frame.colorspace, frame.color_range = matrix, colour_range
    return frame


def in_rgb(drawn: Any, matrix: int) -> np.ndarray:
    drawn.colorspace, drawn.color_range = matrix, LIMITED
    return drawn.to_ndarray(format="rgb24")


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize(
    ("pixel_format", "matrix", "colour_range", "written"),
    [
        ("yuv420p", BT709, LIMITED, BT709),
        ("yuv420p", UNSAID, LIMITED, BT470BG),
        ("yuv420p", SMPTE170M, LIMITED, BT470BG),
        # From here on its own planes do not serve.
        ("yuv420p", BT709, FULL, BT709),
        ("yuv420p", BT2020, LIMITED, BT709),
        ("yuv444p", UNSAID, LIMITED, BT470BG),
        ("yuv420p10le", BT709, LIMITED, BT709),
    ],
)
def test_it_is_the_overlay_that_is_drawn_in_rgb(
    classes: np.ndarray, pixel_format: str, matrix: int, colour_range: int, written: int, safe: bool
) -> None:
    frame = decoded(pixel_format, matrix, colour_range)
    image = frame.to_ndarray(format="rgb24")
    overlay = PlaneOverlay(frame, safe)
    assert overlay.matrix == written
    found = in_rgb(overlay.draw(frame, image, classes), written)
    np.testing.assert_allclose(found.astype(int), render.overlay(image, classes, safe=safe), atol=6)
    np.testing.assert_array_equal(frame.to_ndarray(format="rgb24"), image, "the decoder refers to it")


def test_a_frame_of_another_matrix_than_the_first_is_brought_into_that(classes: np.ndarray) -> None:
    overlay = PlaneOverlay(decoded("yuv420p", BT709, LIMITED), safe=False)
    frame = decoded("yuv420p", SMPTE170M, LIMITED)
    image = frame.to_ndarray(format="rgb24")
    found = in_rgb(overlay.draw(frame, image, classes), BT709)
    np.testing.assert_allclose(found.astype(int), render.overlay(image, classes), atol=6)


def test_an_odd_last_row_and_column_are_lost(classes: np.ndarray) -> None:
    frame = decoded("yuv420p", BT709, LIMITED, (HEIGHT - 1, WIDTH - 3))
    image = frame.to_ndarray(format="rgb24")
    odd = classes[: HEIGHT - 1, : WIDTH - 3]
    found = in_rgb(PlaneOverlay(frame, safe=False).draw(frame, image, odd), BT709)
    assert found.shape == (HEIGHT - 2, WIDTH - 4, 3)
    expected = render.overlay(image, odd)[: HEIGHT - 2, : WIDTH - 4]
    np.testing.assert_allclose(found.astype(int), expected, atol=6)


@pytest.mark.parametrize(("stated", "written"), [(None, BT470BG), (BT709, BT709)])
def test_the_file_says_by_which_matrix_it_is_read(tmp_path: Path, stated: int | None, written: int) -> None:
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    with av.open(str(clip), "w") as file:
        stream = cast(Any, file.add_stream("libx264", rate=25))
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        if stated:
            stream.codec_context.colorspace = stated
        file.mux(stream.encode(decoded("yuv420p", stated or UNSAID, LIMITED)))
        file.mux(stream.encode(None))
    road = np.zeros((HEIGHT, WIDTH), np.uint8)
    with (
        VideoReader(Source("video", clip, tmp_path / "x")) as reader,
        VideoWriter(out, reader, False) as writer,
    ):
        (frame,) = reader.frames()
        writer.add(frame, road)
        writer.finish()
    with av.open(str(out)) as file:
        (shown,) = file.decode(video=0)
    assert shown.colorspace == written
    centre = np.array(frame.image[HEIGHT // 2, WIDTH // 2]) * (1 - render.OPACITY)
    expected = centre + render.OPACITY * np.array(CLASSES[0].rgb)
    found = shown.to_ndarray(format="rgb24")[HEIGHT // 2, WIDTH // 2]
    np.testing.assert_allclose(found, expected, atol=6)
