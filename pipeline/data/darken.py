"""Source pictures made night-like: exposure, colour cast and sensor noise, in linear light."""

from __future__ import annotations

import numpy as np

from pipeline.params_train import Darken

FULL_SCALE = 65535  # of linear light; with 12 bits the darkest sRGB levels would be steps


def srgb_decode(level: np.ndarray) -> np.ndarray:
    """sRGB level 0..1 -> linear light 0..1 (IEC 61966-2-1)."""
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def srgb_encode(light: np.ndarray) -> np.ndarray:
    """Linear light 0..1 -> sRGB level 0..1 (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


LIGHT = srgb_decode(np.arange(256) / 255)
LEVEL = np.round(255 * srgb_encode(np.arange(FULL_SCALE + 1) / FULL_SCALE)).astype(np.uint8)


def night_like(image: np.ndarray, config: Darken, seed: int) -> np.ndarray:
    """Darken a `config.share` of pictures; the others come back as they are. A pure function of its arguments.

    uint8 (H, W, 3), RGB, to the same.
    """
    rng = np.random.default_rng(seed)
    if rng.random() >= config.share:
        return image
    exposure = 2 ** -rng.uniform(*config.stops)
    cast = 1 + rng.uniform(-config.cast, config.cast, 3)
    return darken(image, exposure * cast, rng.uniform(0, config.noise), rng)


def darken(image: np.ndarray, gain: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """A picture at `gain` (3,) times its light, with read noise of standard deviation `noise` and its shot noise.

    uint8 (H, W, 3), RGB, to the same; gain and noise are of full scale in linear light.
    """
    out = np.empty_like(image)
    for channel in range(3):
        light = LIGHT * gain[channel]  # (256,)
        # At any ISO number the variance of the shot noise is about the read noise's deviation times the light
        # (cameras measured for Brooks et al., Unprocessing Images for Learned Raw Denoising, CVPR 2019).
        deviation = np.sqrt(noise**2 + noise * light)
        level = image[..., channel]
        linear = rng.standard_normal(level.shape, np.float32)
        linear *= (FULL_SCALE * deviation).astype(np.float32)[level]
        linear += (FULL_SCALE * light + 0.5).astype(np.float32)[level]
        out[..., channel] = LEVEL[linear.clip(0, FULL_SCALE, out=linear).astype(np.uint16)]
    return out
