"""Reading a picture of a data set by its path, in a folder or inside a .zip archive, and how it lies in its file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.archives import inside_archive, read_bytes
from pipeline.edge.errors import ImageError
from pipeline.edge.images import read_image

_EXIF_ORIENTATION = 0x0112
_EXIF_MARKS = (b"eXIf", b"Raw profile type exif", b"Orientation")
"""One of these is in a PNG that is turned; to ask Pillow is to decode it again."""


@dataclass(frozen=True)
class Stored:
    """What `read_picture` made up its mind about: facts of the file that a reader of the pixels cannot see."""

    orientation: int
    """EXIF orientation, 1 for upright; the picture is turned by it."""
    grey: bool
    """One channel, shown as three."""
    transparent: bool
    """Some pixels let through the mid-grey that it is laid over."""
    frames: int
    """Of an animation or a file of several pages, of which the first is taken."""


def read_picture(path: str | Path) -> np.ndarray:
    """uint8 (H, W, 3) RGB. Raises ImageError (one sentence with the path) as `read_image` does."""
    path = Path(path)
    if inside_archive(path) is None:
        return read_image(path)
    try:
        return read_image(read_bytes(path), name=str(path))
    except FileNotFoundError:
        raise ImageError(f"No such picture: {path}; check the archive.") from None


def stored(path: str | Path) -> Stored:
    """How a picture that `read_picture` has read lies in its file."""
    content = read_bytes(Path(path))
    with Image.open(io.BytesIO(content)) as picture:
        marked = picture.format != "PNG" or any(mark in content for mark in _EXIF_MARKS)
        turn = orientation(picture) if marked else 1
        frames = 1 if picture.format in ("JPEG", "MPO") else _frames(picture)
        transparent = False
        if picture.has_transparency_data:
            picture.load()
            transparent = picture.convert("RGBA").getchannel("A").getextrema()[0] != 255
        return Stored(turn, picture.mode[0] in "1LIF" and picture.mode != "LAB", transparent, frames)


def _frames(picture: Image.Image) -> int:
    try:
        return getattr(picture, "n_frames", 1)
    except Exception:  # of broken later pages, which nobody reads
        return 1


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none, or a broken one."""
    try:
        found = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # of a broken block, of which no reader takes notice
        return 1
    return found if found in range(1, 9) else 1
