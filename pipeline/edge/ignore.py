"""A part of every picture that is nobody's business: the own bonnet, a time stamp; a mask says where."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from pipeline.edge.errors import UserError
from pipeline.edge.images import enlarge_nearest, read_image

_TWO_VALUED = 0.95  # of the pixels of a mask; edges are soft, and JPEG leaves noise
_ASPECT = 0.02  # by which the shape of a mask may differ from that of a picture


class IgnoreMask:
    """bool (H, W), true where nothing is to be said, for pictures of its shape in any size.

    `name` is what sentences call it. Raises UserError for a mask that hides all or nothing.
    """

    def __init__(self, mask: np.ndarray, name: str = "the ignore mask") -> None:
        if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.size:
            raise ValueError(f"expected a bool (H, W) mask, got {mask.dtype} {mask.shape}")
        if mask.all() or not mask.any():
            raise UserError(
                f"{name} hides {'all' if mask.any() else 'nothing'}: paint white what is to be ignored."
            )
        self.mask = mask
        self.sha256 = hashlib.sha256(repr(mask.shape).encode() + mask.tobytes()).hexdigest()
        self.name = name

    def at(self, size: tuple[int, int]) -> np.ndarray:
        """The mask for a picture of (height, width). Raises UserError where that is of another shape."""
        height, width = self.mask.shape
        if abs(width * size[0] / (height * size[1]) - 1) > _ASPECT:
            raise UserError(
                f"{self.name} is {width} x {height} and a picture {size[1]} x {size[0]}: give a mask of the same shape."
            )
        return enlarge_nearest(self.mask, size)


def read_ignore_mask(path: Path) -> IgnoreMask:
    """A picture whose white pixels are to be ignored. Raises UserError for one that is not black and white."""
    brightness = read_image(path).max(axis=2)
    if ((brightness < 64) | (brightness >= 192)).mean() < _TWO_VALUED:
        raise UserError(f"{path} is no mask: paint white what is to be ignored and all else black.")
    return IgnoreMask(brightness >= 128, str(path))
