"""sRGB levels and linear light: exposure and noise act on the light, not on the levels."""

from __future__ import annotations

import numpy as np

FULL_SCALE = 65535  # of linear light; with 12 bits the darkest sRGB levels would be steps


def srgb_decode(level: np.ndarray) -> np.ndarray:
    """sRGB level 0..1 -> linear light 0..1 (IEC 61966-2-1)."""
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def srgb_encode(light: np.ndarray) -> np.ndarray:
    """Linear light 0..1 -> sRGB level 0..1 (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


LIGHT = srgb_decode(np.arange(256) / 255)  # of every 8-bit level, 0..1
LEVEL = np.round(255 * srgb_encode(np.arange(FULL_SCALE + 1) / FULL_SCALE)).astype(np.uint8)


def encode(light: np.ndarray) -> np.ndarray:
    """Linear light, clipped to 0..1, of any shape -> sRGB levels, uint8."""
    return LEVEL[(light.clip(0, 1) * FULL_SCALE).astype(np.uint16)]
