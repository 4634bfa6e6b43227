"""Label maps: PNG of class ids -> the 19 Cityscapes train ids, 255 ignored (method page, section 2.3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.edge.classes import NUM_CLASSES
from pipeline.edge.errors import UserError

ONE_CHANNEL_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")


def read_label_ids(path: str | Path) -> np.ndarray:
    """The ids as stored, integer (H, W); a palette PNG gives its indices, not its colours.

    Raises UserError for a missing, unreadable, truncated or colour (more than one channel) file.
    """
    try:
        with Image.open(path) as picture:
            picture.load()
            mode, ids = picture.mode, np.asarray(picture)
    except FileNotFoundError:
        raise UserError(f"label {path} does not exist; restore it or take its picture off the list") from None
    # Pillow reports a broken PNG chunk as SyntaxError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"label {path} cannot be decoded ({error}); copy or export it again") from None
    if mode not in ONE_CHANNEL_MODES:
        raise UserError(
            f"label {path} is a {mode} picture, but a label holds one class id per pixel in a single "
            "channel; export the id map, not the coloured one"
        )
    return ids.astype(np.uint8) if mode == "1" else ids


def apply_lut(ids: np.ndarray, lut: np.ndarray) -> np.ndarray:
    """Stored ids (H, W) -> train ids uint8 (H, W); ids beyond the table are ignored (255)."""
    if ids.dtype in (np.uint8, np.uint16):
        return np.take(lut, ids)
    return np.where((ids >= 0) & (ids < len(lut)), lut[np.clip(ids, 0, len(lut) - 1)], np.uint8(255))


def read_label(path: str | Path, lut: np.ndarray) -> np.ndarray:
    """Train ids of a label file, uint8 (H, W), 255 = ignored. `lut` uint8 (65536,): stored id -> train id."""
    return apply_lut(read_label_ids(path), lut)


def class_pixels(label: np.ndarray) -> list[int]:
    """Pixels of each of the 19 classes in a label of train ids (H, W)."""
    return np.bincount(label.ravel(), minlength=256)[:NUM_CLASSES].tolist()
