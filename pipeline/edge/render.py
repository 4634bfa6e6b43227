"""Drawing results: colours, overlay with outlines, class shares, legend, and PNGs of ids and confidence."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.edge.classes import CLASSES, NUM_CLASSES, Colour, palette

OPACITY = 0.55  # of the class colours over the picture
_OUTLINE = (255, 255, 255)
_STRIP_PIXELS = (
    2**18
)  # drawn at a time: half the time of the whole at once, and of 100 megapixels no further copies


@dataclass(frozen=True)
class LegendEntry:
    """A class that occurs, its colour and its share of the pixels (0..1)."""

    id: int
    name: str
    colour: Colour
    share: float


def colour(classes: np.ndarray, safe: bool = False) -> np.ndarray:
    """uint8 (H, W) train ids -> uint8 (H, W, 3), black where no class. `safe`: colour-blind-safe palette."""
    return np.array(_coloured(classes, safe))


def overlay(
    image: np.ndarray,
    classes: np.ndarray,
    opacity: float = OPACITY,
    safe: bool = False,
    outlines: bool = False,
) -> np.ndarray:
    """The class colours laid over the picture, uint8 (H, W, 3); pixels of no class show the picture alone.

    `opacity` 0 shows the picture, 1 the colours. `outlines` draws white lines where classes meet, so that
    opacity 0 with outlines shows borders alone. Raises ValueError when the sizes differ.
    """
    if image.shape[:2] != classes.shape:
        raise ValueError(f"picture {image.shape[:2]} and classes {classes.shape} differ in size")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity {opacity} is outside 0..1")
    mixed = np.empty_like(image)
    rows = max(1, _STRIP_PIXELS // image.shape[1])
    for top in range(0, len(image), rows):
        strip, ids = image[top : top + rows], classes[top : top + rows]
        # Pillow blends in C without a float copy of the picture.
        drawn = mixed[top : top + rows]
        drawn[:] = Image.blend(Image.fromarray(strip), _coloured(ids, safe), opacity)
        unknown = ids >= NUM_CLASSES
        if unknown.any():
            drawn[unknown] = strip[unknown]
    if outlines:
        mixed[borders(classes)] = _OUTLINE
    return mixed


def borders(classes: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels that touch another class; the line is about 1/500 of the longer side wide."""
    edge = np.zeros(classes.shape, bool)
    for reach in range(1, max(1, round(max(classes.shape) / 1000)) + 1):
        below = classes[reach:] != classes[:-reach]
        beside = classes[:, reach:] != classes[:, :-reach]
        edge[:-reach] |= below
        edge[reach:] |= below
        edge[:, :-reach] |= beside
        edge[:, reach:] |= beside
    return edge


def class_shares(classes: np.ndarray) -> dict[int, float]:
    """Share of the pixels (0..1) of every class that occurs, largest first; other ids are left out."""
    counts = Image.fromarray(classes).histogram()[:NUM_CLASSES]
    present = sorted((i for i, count in enumerate(counts) if count), key=lambda i: -counts[i])
    return {i: counts[i] / classes.size for i in present}


def legend(classes: np.ndarray, safe: bool = False) -> list[LegendEntry]:
    """The classes that occur, largest first."""
    return [
        LegendEntry(i, CLASSES[i].name, CLASSES[i].safe_rgb if safe else CLASSES[i].rgb, share)
        for i, share in class_shares(classes).items()
    ]


def index_png(classes: np.ndarray) -> bytes:
    """PNG in mode L whose grey values are the train ids, as label tools expect it."""
    stream = io.BytesIO()
    # Areas of one value: run lengths alone are as quick as level 1 and a third smaller.
    Image.fromarray(classes).save(stream, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return stream.getvalue()


def confidence_png(confidence: np.ndarray) -> bytes:
    """PNG in mode L, 255 = sure, at the network's own resolution; `confidence` is float (h, w) in 0..1."""
    return _png((np.clip(confidence, 0, 1) * 255 + 0.5).astype(np.uint8))


def overlay_png(image: np.ndarray) -> bytes:
    """An overlay (uint8 (H, W, 3)) as PNG."""
    return _png(image)


def overlay_jpeg(image: np.ndarray) -> bytes:
    """An overlay as JPEG: ten times faster to write than PNG and a fifth of its size. No side above 65500."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _coloured(classes: np.ndarray, safe: bool) -> Image.Image:
    drawn = Image.fromarray(classes.astype(np.uint8, copy=False))
    drawn.putpalette(palette(safe).tobytes())
    return drawn.convert("RGB")


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    # Level 1: on pictures five times faster than the default and 10 % larger.
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
