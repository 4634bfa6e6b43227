"""COCO's compressed run lengths: column by column, what pycocotools writes and reads, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.edge.classes import SegClass


@dataclass(frozen=True)
class Mask:
    """The pixels of one class."""

    counts: str
    """COCO's compressed run lengths, the first of pixels outside."""
    area: int
    """Pixels."""
    bbox: tuple[int, int, int, int]
    """x, y, width, height."""


def encode(classes: np.ndarray) -> dict[int, Mask]:
    """The mask of every id that occurs in uint8 (H, W), by id."""
    height = classes.shape[0]
    flat = classes.T.reshape(-1)  # column by column
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate(([0], edges))
    ends = np.concatenate((edges, [flat.size]))
    values = flat[starts]
    return {
        int(i): _mask(starts[values == i], ends[values == i], height, flat.size) for i in np.unique(values)
    }


def decode(counts: str, height: int, width: int) -> np.ndarray:
    """bool (H, W) of a mask's `counts`."""
    lengths: list[int] = []
    value = shift = 0
    for byte in counts.encode("ascii"):
        bits = byte - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def as_json(classes: np.ndarray, names: tuple[SegClass, ...]) -> dict[str, Any]:
    """What `--save rle` writes of a picture beside its path; `names` are the manifest's classes."""
    height, width = classes.shape
    masks = encode(classes)
    return {
        "height": height,
        "width": width,
        "masks": [
            {
                "id": c.id,
                "name": c.name,
                "area": masks[c.id].area,
                "bbox": list(masks[c.id].bbox),
                "segmentation": {"size": [height, width], "counts": masks[c.id].counts},
            }
            for c in names
            if c.id in masks
        ],
    }


def _mask(starts: np.ndarray, ends: np.ndarray, height: int, size: int) -> Mask:
    bounds = np.column_stack((starts, ends)).reshape(-1)
    rest = [] if bounds[-1] == size else [size]
    lengths = np.diff(np.concatenate(([0], bounds, rest)).astype(np.int64))
    first, last = starts % height, (ends - 1) % height
    left, right = starts // height, (ends - 1) // height
    several = right > left  # a run over several columns has a pixel in the top row and one in the bottom row
    top = 0 if several.any() else int(first.min())
    bottom = height - 1 if several.any() else int(last.max())
    x, y = int(left[0]), top
    return Mask(
        _compress(lengths), int((ends - starts).sum()), (x, y, int(right[-1]) - x + 1, bottom - y + 1)
    )


def _compress(lengths: np.ndarray) -> str:
    """Differences to the length before the last, in groups of 5 bits, the lowest first, the sixth bit: more follow."""
    left = lengths.copy()
    left[3:] -= lengths[1:-2]
    open_, groups, used = np.ones(len(left), bool), [], []
    while open_.any():
        bits = left & 0x1F
        left = left >> 5
        used.append(open_)
        open_ = open_ & np.where(bits & 0x10, left != -1, left != 0)
        groups.append(bits + np.where(open_, 0x20 + 48, 48))
    return np.stack(groups, 1)[np.stack(used, 1)].astype(np.uint8).tobytes().decode("ascii")
