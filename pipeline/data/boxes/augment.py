"""Training pictures with boxes: random size, flip and crop; a pure function of the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.edge.images import MEAN_COLOUR, fit_size, resize_image

VISIBLE = 0.3  # share of a box's area that a crop must keep; less is background to nobody, so it is left out


@dataclass(frozen=True)
class Crop:
    """A picture as the network sees it."""

    image: np.ndarray  # uint8 (h, w, 3), padded at the bottom and right with the mean colour
    boxes: np.ndarray  # float32 (N, 4) in its pixels
    labels: np.ndarray  # int64 (N,)
    size: tuple[int, int]  # (height, width) without the padding


def augment_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    fitted: tuple[int, int],
    crop: tuple[int, int],
    scale: tuple[float, float],
    seed: int,
) -> Crop:
    """Fit a picture (H, W, 3) into `fitted` times a random factor of `scale`, flip half of them, cut out `crop`.

    What is smaller than the crop, (height, width), is padded. Boxes (N, 4) that lose too much are dropped.
    """
    rng = np.random.default_rng(seed)
    factor, flip, down, across = rng.uniform(*scale), rng.random() < 0.5, rng.random(), rng.random()
    height, width = image.shape[:2]
    rows, columns = fit_size(height, width, (round(fitted[0] * factor), round(fitted[1] * factor)))
    image = resize_image(image, (rows, columns))
    boxes = boxes.astype(np.float32) * np.array([columns / width, rows / height] * 2, np.float32)
    if flip:
        image = image[:, ::-1]
        boxes = np.stack([columns - boxes[:, 2], boxes[:, 1], columns - boxes[:, 0], boxes[:, 3]], axis=1)
    top, left = int(down * max(rows - crop[0] + 1, 1)), int(across * max(columns - crop[1] + 1, 1))
    part = image[top : top + crop[0], left : left + crop[1]]
    size = (part.shape[0], part.shape[1])
    padded = np.empty((*crop, 3), np.uint8)
    padded[:] = MEAN_COLOUR
    padded[: size[0], : size[1]] = part
    boxes, kept = _within(boxes - np.array([left, top] * 2, np.float32), size)
    return Crop(padded, boxes, labels[kept], size)


def _within(boxes: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The parts of boxes (N, 4) inside (height, width), and which of the boxes keep enough (N,)."""
    inside = boxes.copy()
    inside[:, 0::2] = inside[:, 0::2].clip(0, size[1])
    inside[:, 1::2] = inside[:, 1::2].clip(0, size[0])
    kept = _area(inside) > np.maximum(VISIBLE * _area(boxes), 1)  # below a pixel nothing can be learned
    return inside[kept], kept


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
