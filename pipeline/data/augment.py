"""Training crops with albumentations 2.0.8, which only this file imports (method page, section 2.2)."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks a server for a newer version

import albumentations as A
from albumentations.augmentations.crops.transforms import BaseCrop

from pipeline.edge.classes import IGNORE
from pipeline.edge.images import MEAN_COLOUR

CATEGORY_LIMIT = 0.75  # largest share of one class in a source crop (DAFormer's configuration)
BOXES_TESTED = 10

Box = tuple[int, int, int, int]
"""(y1, y2, x1, x2), ends exclusive."""


def crop_with_category_limit(label: np.ndarray, draw_box: Callable[[], Box]) -> Box:
    """The first of ten boxes that shows more than one class and none of 75 % or more; else the eleventh.

    `label`: train ids (H, W); ignored pixels (255) do not count. Keeps crops of nothing but road out.
    """
    for _ in range(BOXES_TESTED):
        y1, y2, x1, x2 = box = draw_box()
        counts = np.bincount(label[y1:y2, x1:x2].ravel(), minlength=256)[:IGNORE]
        if np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < CATEGORY_LIMIT:
            return box
    return draw_box()


class CategoryLimitedCrop(BaseCrop):
    """Random crop of (height, width) that shows more than one class, judged on the `mask` target."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__(p=1.0)
        self.height = height
        self.width = width

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        label = data["mask"]

        def draw_box() -> Box:
            y1 = self.py_random.randint(0, label.shape[0] - self.height)
            x1 = self.py_random.randint(0, label.shape[1] - self.width)
            return y1, y1 + self.height, x1, x1 + self.width

        y1, y2, x1, x2 = crop_with_category_limit(label, draw_box)
        return {"crop_coords": (x1, y1, x2, y2)}


def source_augmentation(crop: tuple[int, int]) -> A.Compose:
    """Flip, pad (label 255) and category-limited crop for source pictures. `crop`: (height, width)."""
    return A.Compose([A.HorizontalFlip(p=0.5), _pad(crop, IGNORE), CategoryLimitedCrop(*crop)])


def target_augmentation(crop: tuple[int, int]) -> A.Compose:
    """Flip, pad (valid 0) and plain random crop: a category limit would leak target labels (DAFormer #6)."""
    return A.Compose([A.HorizontalFlip(p=0.5), _pad(crop, 0), A.RandomCrop(*crop)])


def _pad(crop: tuple[int, int], fill_mask: int) -> A.PadIfNeeded:
    # The picture stays at the top left, so that the padding is at the bottom and right as at inference.
    return A.PadIfNeeded(*crop, position="top_left", fill=MEAN_COLOUR, fill_mask=fill_mask)


def augment(
    pipeline: A.Compose, image: np.ndarray, mask: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) and mask (H, W) -> crops of both; a pure function of its arguments.

    Own generators for every call, because albumentations 2.0.8 repeats its stream across workers and epochs
    (albumentations #2473); and one pair for all transforms, because its `set_random_seed` would start each of
    them on the same numbers.
    """
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
    out = pipeline(image=image, mask=mask)
    return out["image"], out["mask"]
