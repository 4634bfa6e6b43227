"""Pictures of more than 8 bits: which value is white, and all of them in 8 bits."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE = 258, 281  # tags of TIFF
_SCALES = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16, 24, 31))
_OTHER_BYTE = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
_SIXTEEN_BITS = 65535.0
_DARK = 63
"""The highest upper byte of 14 bits in 16."""


def raw_mode(image: ImageFile.ImageFile) -> str:
    """How the samples of a picture lie in its file, such as "RGB;16B"; to be asked before it is loaded."""
    arguments: Any = next((tile[3] for tile in image.tile), None) or ""
    return arguments if isinstance(arguments, str) else str(arguments[0])


def eight_bit(image: Image.Image, raw: str, stream: BinaryIO, notes: list[str]) -> Image.Image:
    """`image`, loaded from `stream` where it lay as `raw`, or the same in 8 bits a channel where it has more.

    White is what a TIFF says (MaxSampleValue, or fewer than 16 BitsPerSample), else 65535 in 16 bits and 1 in floats.
    Where all values are far below, as the 10, 12 or 14 bits of many cameras are, or above, it is the lowest of 2^8,
    2^10, 2^12, 2^14, 2^16, 2^24 and 2^31, less one, that no value exceeds; then `notes` gets a sentence.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return _scaled(image, np.asarray(image), notes)
    high_byte = raw[-4:]
    if image.mode not in ("RGB", "RGBA") or raw[:-4] != image.mode or high_byte not in _OTHER_BYTE:
        return image
    values = np.asarray(image)
    if values[..., :3].max() > _DARK:
        return image
    # Pillow keeps the upper byte of deep colours, in which dark ones are black: read the lower one, too.
    stream.seek(0)
    with Image.open(stream, formats=[str(image.format)]) as again:
        again.tile = [_with_byte(tile, _OTHER_BYTE[high_byte]) for tile in again.tile]
        again.load()
        return _scaled(image, values.astype(np.uint16) << 8 | np.asarray(again), notes)


def _with_byte(tile: Any, byte: str) -> Any:
    """A tile of Pillow's, (decoder, box, offset, arguments), that takes the other byte of each sample."""
    *where, arguments = tile
    if isinstance(arguments, str):
        return (*where, arguments[:-4] + byte)
    return (*where, (arguments[0][:-4] + byte, *arguments[1:]))


def _scaled(image: Image.Image, values: np.ndarray, notes: list[str]) -> Image.Image:
    if values.dtype.kind == "f":
        values = np.nan_to_num(
            values, nan=0, posinf=np.max(values, where=np.isfinite(values), initial=0), neginf=0
        )
    peak = float((values if values.ndim == 2 else values[..., :3]).max())
    white = _white(image, peak, notes)
    if values.dtype.kind == "u":  # by table: 16 bits have few values
        table = np.clip(np.arange(65536) * (255 / white) + 0.5, 0, 255).astype(np.uint8)
        scaled = table[values]
    else:
        scaled = np.clip(values * (255 / white) + 0.5, 0, 255).astype(np.uint8)
    plain = Image.fromarray(scaled)
    plain.getexif().update(image.getexif())  # how it is turned
    return plain


def _white(image: Image.Image, peak: float, notes: list[str]) -> float:
    natural = {"F": 1.0, "I": 255.0}.get(image.mode, _SIXTEEN_BITS)
    stated = _stated(image)
    if stated and peak <= stated:
        return stated
    if peak <= natural and (natural < _SIXTEEN_BITS or not 0 < peak < natural / 4):
        return natural
    white = next((scale for scale in _SCALES if peak <= scale), peak)
    if white != natural:
        notes.append(f"no value in it exceeds {peak:g}: read with {white:g} as white")
    return white


def _stated(image: Image.Image) -> float | None:
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode == "F":
        return None
    tags = image.tag_v2
    top, bits = tags.get(_MAX_SAMPLE_VALUE), tags.get(_BITS_PER_SAMPLE, (0,))[0]
    top = top[0] if isinstance(top, tuple) else top
    return float(top) if top else 2.0**bits - 1 if 8 <= bits < 16 else None
