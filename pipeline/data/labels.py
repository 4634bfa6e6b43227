"""Label maps as their data sets store them -> the 19 Cityscapes train ids, 255 ignored (method page, section 2.3).

Every file may lie in a folder or inside a .zip archive.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.data.archives import inside_archive, read_bytes
from pipeline.edge.classes import IGNORE, NUM_CLASSES, Colour
from pipeline.edge.errors import UserError

ONE_CHANNEL_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")


def read_label_ids(path: str | Path) -> np.ndarray:
    """The ids as stored, integer (H, W); a palette PNG gives its indices, not its colours.

    Raises UserError for a missing, unreadable, truncated or colour (more than one channel) file.
    """
    picture = _decoded(Path(path))
    if picture.mode not in ONE_CHANNEL_MODES:
        raise UserError(
            f"label {path} is a {picture.mode} picture, but a label holds one class id per pixel in a single "
            "channel; export the id map, not the coloured one"
        )
    ids = np.asarray(picture)
    return ids.astype(np.uint8) if picture.mode == "1" else ids


def read_red_channel(path: str | Path) -> np.ndarray:
    """Red channel of a 16-bit colour PNG, uint16 (H, W): the class id in SYNTHIA's GT/LABELS.

    Raises UserError for a missing or broken file, and for one that another program has saved again in 8 bits.
    """
    content = _content(Path(path))
    # Pillow reads 16-bit colour as 8-bit and loses the id.
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if pixels is None:
        raise UserError(f"label {path} cannot be decoded; copy or unpack it again")
    if pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise UserError(
            f"label {path} is no 16-bit colour PNG, so it is not the official file of GT/LABELS; unpack that again"
        )
    return pixels[:, :, 2]  # OpenCV orders blue, green, red


def read_colour_ids(path: str | Path, ids: Mapping[Colour, int]) -> np.ndarray:
    """Ids of a label whose classes are colours, uint8 (H, W); colours that are not listed give 255.

    Raises UserError for a missing or broken file.
    """
    pixels = np.asarray(_decoded(Path(path)).convert("RGB")).astype(np.uint32)
    packed = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    found = np.full(packed.shape, IGNORE, np.uint8)
    for (red, green, blue), value in ids.items():
        found[packed == (red << 16 | green << 8 | blue)] = value
    return found


def apply_lut(ids: np.ndarray, lut: np.ndarray) -> np.ndarray:
    """Stored ids (H, W) -> train ids uint8 (H, W); ids beyond the table are ignored (255)."""
    if ids.dtype in (np.uint8, np.uint16):
        return np.take(lut, ids)
    return np.where((ids >= 0) & (ids < len(lut)), lut[np.clip(ids, 0, len(lut) - 1)], np.uint8(255))


def class_pixels(label: np.ndarray) -> list[int]:
    """Pixels of each of the 19 classes in a label of train ids (H, W)."""
    return np.bincount(label.ravel(), minlength=256)[:NUM_CLASSES].tolist()


def _decoded(path: Path) -> Image.Image:
    try:
        with Image.open(io.BytesIO(_content(path)) if inside_archive(path) else path) as picture:
            picture.load()
            return picture
    except FileNotFoundError:
        raise _missing(path) from None
    # Pillow reports a broken PNG chunk as SyntaxError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"label {path} cannot be decoded ({error}); copy or export it again") from None


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise UserError(f"label {path} cannot be opened ({error.strerror}); check its permissions") from None


def _missing(path: Path) -> UserError:
    return UserError(f"label {path} does not exist; restore it or take its picture off the list")
