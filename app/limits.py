"""What the page takes and keeps: picture, request, queue and disk limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.edge.images import fit_size, resize_image

MAX_SIDE = 1280
"""Longest side, in pixels, of the pictures shown; the networks see the picture at their own training size."""

MAX_PIXELS = 64_000_000
"""Largest picture, known from its header before anything is decoded."""

MAX_FILE = 100 * 1024**2
"""Bytes of one upload; enough for a 60-megapixel PNG photo."""

MAX_ARRIVING = 1024**3
"""Bytes of all uploads under way; further ones are told that the page is busy."""

MAX_BODY = 64 * 1024
"""Bytes of a request that is no upload."""

MAX_KEPT = 2 * 1024**3
"""Bytes of uploads and results on disk; beyond, the oldest go."""

MAX_AGE = 86400
"""Seconds after which uploads and results go."""

QUEUE_LENGTH = 24
"""Requests that may wait; further ones are told that the page is busy."""

INFERENCE: dict[str, Any] = {"concurrency_id": "inference", "concurrency_limit": 1}
"""The one queue lane of every event that decodes a picture or runs a network: one request at a time owns the memory."""

SESSIONS = 50
"""Visitors whose last result is kept, on disk, so that another colour needs no second run."""


def shown_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) on the page: the longest side is at most MAX_SIDE, aspect kept, never enlarged."""
    if max(height, width) <= MAX_SIDE:
        return height, width
    return fit_size(height, width, (MAX_SIDE, MAX_SIDE))


def shown_picture(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) to the uint8 picture that the page shows."""
    return resize_image(image, shown_size(*image.shape[:2]))
