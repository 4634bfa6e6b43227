"""Label maps as their data sets store them -> the 19 Cityscapes train ids, 255 ignored (method page, section 2.3).

Every file may lie in a folder or inside a .zip archive.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from pipeline.data.archives import inside_archive, read_bytes
from pipeline.data.pictures import orientation
from pipeline.edge.classes import IGNORE, NUM_CLASSES, Colour
from pipeline.edge.errors import UserError

ONE_CHANNEL_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
LOSSLESS = ("PNG", "TIFF", "BMP")
"""Kinds of file that give ids back as they were stored; of TIFF not all, see `_refuse_loss`."""
_OTHERS = ("JPEG", "WEBP", "JPEG2000", "AVIF", "GIF", "PPM")
_LOSSLESS_TIFF = (
    "raw",
    "packbits",
    "lzw",
    "tiff_lzw",
    "deflate",
    "tiff_deflate",
    "tiff_adobe_deflate",
    "lzma",
    "zstd",
)
_FAX_TIFF = ("tiff_ccitt", "group3", "group4")  # one bit a pixel
_AS_PNG = "export it from the program that drew it as PNG in 8 or 16 bits"


@dataclass(frozen=True)
class Encoding:
    """How a label lies in its file, as far as the ids may have suffered from it."""

    bits: int = 8
    """Below 8 where greys are stored in 1, 2 or 4 bits: these are read as spread over 0..255, 1 bit as 0 and 255."""
    palette: bytes | None = None
    """RGB of every index, where the ids are indices."""
    orientation: int = 1
    """EXIF orientation, 1 for upright; the ids are turned by it as a picture is."""


def read_label_ids(path: str | Path) -> np.ndarray:
    """The ids as stored, integer (H, W); a palette PNG gives its indices, not its colours.

    Raises UserError for a missing, unreadable, truncated or colour (more than one channel) file, and for one of a
    kind that changes ids, like JPEG.
    """
    return decode_label(path)[0]


def decode_label(path: str | Path) -> tuple[np.ndarray, Encoding]:
    """`read_label_ids` and how they were stored."""
    picture, bits, orientation = _decoded(Path(path))
    if picture.mode not in ONE_CHANNEL_MODES:
        raise UserError(
            f"label {path} is a {picture.mode} picture, but a label holds one class id per pixel in a single "
            "channel; export the id map, not the coloured one"
        )
    ids = np.asarray(picture)
    if picture.mode == "1":
        ids = ids.astype(np.uint8) * np.uint8(255)
    palette = bytes(picture.getpalette() or ()) if picture.mode == "P" else None
    return ids, Encoding(bits, palette, orientation)


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
    pixels = np.asarray(_decoded(Path(path))[0].convert("RGB")).astype(np.uint32)
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


def id_counts(ids: np.ndarray) -> dict[int, int]:
    """Every id in a label (H, W) -> its pixels."""
    if ids.dtype in (np.uint8, np.uint16):
        counts = np.bincount(ids.ravel())  # six times as fast as np.unique
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, counts = np.unique(ids, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def class_pixels(label: np.ndarray) -> list[int]:
    """Pixels of each of the 19 classes in a label of train ids (H, W)."""
    return np.bincount(label.ravel(), minlength=256)[:NUM_CLASSES].tolist()


def _decoded(path: Path) -> tuple[Image.Image, int, int]:
    """The picture, upright, its bits a grey value, 8 for all from 8 on, and its EXIF orientation."""
    try:
        with Image.open(
            io.BytesIO(_content(path)) if inside_archive(path) else path, formats=LOSSLESS
        ) as picture:
            _refuse_loss(picture, path)
            bits = _grey_bits(picture)
            # A TIFF is turned when it is loaded and then knows nothing of it; a PNG may name its turn after the pixels.
            turned = orientation(picture) if picture.format == "TIFF" else 1
            picture.load()
            if (turn := orientation(picture)) != 1:
                ImageOps.exif_transpose(picture, in_place=True)
            return picture, bits, max(turned, turn)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
    except UnidentifiedImageError:
        raise UserError(f"label {path} {_other_kind(path)}") from None
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"label {path} is too large for this machine's memory; export it smaller") from None
    except Exception as error:  # decoders raise a dozen types for broken data, SyntaxError for a PNG chunk
        raise UserError(f"label {path} cannot be decoded ({error}); copy or export it again") from None


def _grey_bits(picture: ImageFile) -> int:
    """From the raw mode, known until the pixels are loaded: Pillow spreads greys of few bits over 0..255."""
    if picture.mode not in ("1", "L") or not picture.tile:
        return 8
    arguments = picture.tile[0].args
    raw = str(arguments[0] if isinstance(arguments, tuple) else arguments)
    return 1 if picture.mode == "1" else next((bits for bits in (1, 2, 4) if raw.startswith(f"L;{bits}")), 8)


def _refuse_loss(picture: Image.Image, path: Path) -> None:
    packing = picture.info.get("compression", "raw")
    if picture.format == "TIFF" and packing not in _LOSSLESS_TIFF + _FAX_TIFF:
        raise UserError(f"label {path} is packed as {packing}, which may change class ids; {_AS_PNG}")
    if getattr(picture, "n_frames", 1) > 1:
        raise UserError(f"label {path} holds several pictures; {_AS_PNG}")


def _other_kind(path: Path) -> str:
    """What is wrong with a label that is of none of the kinds that are read."""
    content = _content(path)
    if not content:
        return "is empty (0 bytes); copy or export it again"
    try:
        with Image.open(io.BytesIO(content), formats=_OTHERS) as picture:
            kind = picture.format
    except Exception:
        return "cannot be decoded (no picture that is known); copy or export it again"
    if kind in ("GIF", "PPM"):
        return f"is a {kind} file, which is not read; {_AS_PNG}"
    return f"is a {kind} file, which may change class ids when it is saved; {_AS_PNG}"


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise UserError(f"label {path} cannot be opened ({error.strerror}); check its permissions") from None


def _missing(path: Path) -> UserError:
    return UserError(f"label {path} does not exist; restore it or take its picture off the list")
