"""Source pictures made night-like: by exposure alone, relit by their labels, or in the colours of target pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.data.colour_match import Colours, colour_match
from pipeline.data.linear_light import FULL_SCALE, LEVEL, LIGHT
from pipeline.data.relight import relight
from pipeline.params.train import Darken


def night_like(
    image: np.ndarray,
    label: np.ndarray,
    config: Darken,
    seed: int,
    target: Callable[[np.random.Generator], Colours],
) -> np.ndarray:
    """Change a `config.share` of pictures; the others come back as they are. A pure function of its arguments.

    uint8 (H, W, 3), RGB, with train ids (H, W), to uint8 (H, W, 3). `target` draws the colours of a target picture.
    """
    rng = np.random.default_rng(seed)
    if rng.random() >= config.share:
        return image
    if config.kind == "relight":
        return relight(image, label, config.grey, rng)
    if config.kind == "match":
        return colour_match(image, target(rng))
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
