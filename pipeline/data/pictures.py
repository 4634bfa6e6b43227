"""Reading a picture of a data set by its path, in a folder or inside a .zip archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.data.archives import inside_archive, read_bytes
from pipeline.edge.errors import ImageError
from pipeline.edge.images import read_image


def read_picture(path: str | Path) -> np.ndarray:
    """uint8 (H, W, 3) RGB. Raises ImageError (one sentence with the path) as `read_image` does."""
    path = Path(path)
    if inside_archive(path) is None:
        return read_image(path)
    try:
        return read_image(read_bytes(path), name=str(path))
    except FileNotFoundError:
        raise ImageError(f"No such picture: {path}; check the archive.") from None
