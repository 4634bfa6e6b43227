"""Windows of a picture, the mean of their logits, and resizing maps (method page, sections 3.4 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]  # (height, width)
Box = tuple[int, int, int, int]  # (y1, y2, x1, x2), end-exclusive


def window_boxes(height: int, width: int, window: Size, stride: Size) -> list[Box]:
    """Windows that cover height x width in steps of `stride`, row by row, the last ones shifted back inside.

    A window larger than the picture is cut to it.
    """
    boxes = []
    for y2 in _window_ends(height, window[0], stride[0]):
        for x2 in _window_ends(width, window[1], stride[1]):
            boxes.append((max(y2 - window[0], 0), y2, max(x2 - window[1], 0), x2))
    return boxes


def _window_ends(length: int, window: int, stride: int) -> list[int]:
    count = max(length - window + stride - 1, 0) // stride + 1
    return [min(i * stride + window, length) for i in range(count)]


def cut(images: Tensor, box: Box) -> Tensor:
    """The window `box` of (..., H, W), as a view."""
    y1, y2, x1, x2 = box
    return images[..., y1:y2, x1:x2]


def at_stride(box: Box, stride: int) -> Box:
    """A box in pixels -> the same box in cells of `stride` pixels."""
    y1, y2, x1, x2 = box
    return y1 // stride, y2 // stride, x1 // stride, x2 // stride


def at_least_float32(maps: Tensor) -> Tensor:
    """Half types as float32; float64, the judge of the parity gate, as it is."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def merge_windows(logits: Sequence[Tensor], boxes: Sequence[Box], size: Size) -> Tensor:
    """Mean of overlapping window logits, each (B, C, y2-y1, x2-x1), on a canvas (B, C, *size)."""

    def on_canvas(part: Tensor, box: Box) -> Tensor:
        y1, y2, x1, x2 = box
        return F.pad(at_least_float32(part), (x1, size[1] - x2, y1, size[0] - y2))

    # Sums of padded parts, not writes into one canvas: ONNX has no such writes.
    parts = list(zip(logits, boxes, strict=True))
    total = reduce(torch.add, (on_canvas(part, box) for part, box in parts))
    count = reduce(torch.add, (on_canvas(torch.ones_like(part[:1, :1]), box) for part, box in parts))
    return total / count


def resize(maps: Tensor, size: Size) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear with half-pixel centres."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
