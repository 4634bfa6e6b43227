"""Pictures of more than 8 bits: which value is white, and all of them in 8 bits."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE = 258, 281  # tags of TIFF
_SCALES = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16, 24, 31))
_OTHER_BYTE = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
_GREY_AND_ALPHA = "LA;16B"
_SIXTEEN_BITS = 65535.0
_DARK = 64
"""The highest upper byte of 14 bits in 16, rounded as those of PPM are."""


def raw_mode(image: ImageFile.ImageFile) -> str:
    """How the samples of a picture lie in its file, such as "RGB;16B"; to be asked before it is loaded."""
    if not image.tile:
        return ""
    decoder, _, _, arguments = image.tile[0]
    first = arguments if isinstance(arguments, str) else str((*(arguments or ()), "")[0])
    return f"{first};16B" if decoder == "ppm" and arguments == (first, _SIXTEEN_BITS) else first


def eight_bit(image: Image.Image, raw: str, stream: BinaryIO, notes: list[str]) -> Image.Image:
    """`image`, loaded from `stream` where it lay as `raw`, or the same in 8 bits a channel where it has more.

    White is what a PPM says, or a TIFF (MaxSampleValue, or fewer than 16 BitsPerSample), else 65535 in 16 bits and 1
    in floats. Where all values are far below, as the 10, 12 or 14 bits of many cameras are, or above, it is the lowest
    of 2^8, 2^10, 2^12, 2^14, 2^16, 2^24 and 2^31, less one, that no value exceeds; then `notes` gets a sentence.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return _scaled(image, raw, np.asarray(image), notes)
    grey_and_alpha = (image.mode, raw) == ("RGBA", _GREY_AND_ALPHA)
    deep = image.mode in ("RGB", "RGBA") and raw[:-4] in (image.mode, "RGBX") and raw[-4:] in _OTHER_BYTE
    if not (grey_and_alpha or deep) or np.asarray(image)[..., :3].max() > _DARK:
        return image
    # Pillow keeps the upper byte of deep colours, in which dark ones are black: read the lower one, too.
    if grey_and_alpha:
        pairs = _decoded(image, "RGBA", stream)  # upper and lower byte of the grey, then of alpha
        values = np.dstack([pairs[..., 0:2]] * 3 + [pairs[..., 2:4]])
        return _scaled(image, raw, values[..., ::2] << 8 | values[..., 1::2], notes)
    upper, lower = (_decoded(image, raw[:-4] + end, stream) for end in (raw[-4:], _OTHER_BYTE[raw[-4:]]))
    return _scaled(image, raw, upper << 8 | lower, notes)


def _decoded(image: Image.Image, raw: str, stream: BinaryIO) -> np.ndarray:
    """uint16 (H, W, C), the bytes of the same file that are found where they lie as `raw`."""
    stream.seek(0)
    with Image.open(stream, formats=[str(image.format)]) as again:
        again.tile = [_with_raw_mode(tile, raw) for tile in again.tile]
        again.load()
        return np.asarray(again).astype(np.uint16)


def _with_raw_mode(tile: Any, raw: str) -> Any:
    """A tile of Pillow's: (decoder, box, offset, arguments)."""
    decoder, box, offset, arguments = tile
    if decoder == "ppm":  # which scales
        return ("raw", box, offset, (raw, 0, 1))
    return (decoder, box, offset, raw if isinstance(arguments, str) else (raw, *arguments[1:]))


def _scaled(image: Image.Image, raw: str, values: np.ndarray, notes: list[str]) -> Image.Image:
    if values.dtype.kind == "f":
        values = np.nan_to_num(
            values, nan=0, posinf=np.max(values, where=np.isfinite(values), initial=0), neginf=0
        )
    peak = float((values if values.ndim == 2 else values[..., :3]).max())
    white = _white(image, raw, peak, notes)
    if values.dtype.kind == "u":  # by table: 16 bits have few values
        table = np.clip(np.arange(65536) * (255 / white) + 0.5, 0, 255).astype(np.uint8)
        scaled = table[values]
        if values.ndim == 3 and values.shape[2] == 4:
            scaled[..., 3] = values[..., 3] >> 8  # alpha has all its bits
    else:
        scaled = np.clip(values * (255 / white) + 0.5, 0, 255).astype(np.uint8)
    plain = Image.fromarray(scaled)
    plain.getexif().update(image.getexif())  # how it is turned
    return plain


def _white(image: Image.Image, raw: str, peak: float, notes: list[str]) -> float:
    # From the maximum that the file states to 65535; where that is the same, it states nothing.
    scaled_by_pillow = image.format == "PPM" and image.mode == "I"
    natural = {"F": 1.0, "I": 255.0}.get("" if scaled_by_pillow else image.mode, _SIXTEEN_BITS)
    stated = _SIXTEEN_BITS if scaled_by_pillow and raw != "I;16B" else _stated(image)
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
