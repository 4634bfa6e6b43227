"""Day pictures lit as at night, by their labels: what a day photograph never shows is a dark sky.

Exposure alone keeps a day's order of brightness, the sky above all; at night it is the other way round. Here each
class gets its own light in linear light, then come head lamps, street light, lamps with their glow, a colour cast, the
exposure that gives the wanted mean grey level, and the noise of a dark exposure. Pixels change, labels do not.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.data.linear_light import LIGHT, encode
from pipeline.edge.classes import ID_OF

# Stops of light lost by a class against the road, (least, most); negative: brighter, as retro-reflecting signs are.
# The ranges overlap, so that the darkest part of a picture is often, not always, the sky.
LOST_STOPS = {
    "sky": (0.5, 6.0),
    "vegetation": (0.0, 4.5),
    "terrain": (0.0, 3.0),
    "building": (-0.5, 4.0),
    "wall": (-0.5, 4.0),
    "fence": (-0.5, 3.0),
    "sidewalk": (0.0, 1.5),
    "pole": (-0.5, 2.0),
    "traffic sign": (-2.0, 1.0),
    "person": (-0.5, 2.0),
    "rider": (-0.5, 2.0),
    "car": (-0.5, 2.0),
    "truck": (-0.5, 2.0),
    "bus": (-0.5, 2.0),
}
VEHICLES = ("car", "truck", "bus", "motorcycle")
WHITE, RED, SODIUM, WARM, GREEN = (
    (1.0, 0.95, 0.85),
    (1.0, 0.15, 0.1),
    (1.0, 0.75, 0.45),
    (1.0, 0.6, 0.2),
    (0.3, 1.0, 0.5),
)
LAMPS, LAMP_CHANCES = (SODIUM, WHITE, RED, GREEN, WARM), (0.35, 0.3, 0.2, 0.05, 0.1)


def relight(
    image: np.ndarray, label: np.ndarray, grey: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Picture uint8 (H, W, 3) RGB with its train ids (H, W) -> the same street by night, uint8 (H, W, 3).

    `grey`: range of the mean grey level (0..255) of the result; measure it on the target (`metrics/data.json`).
    """
    light = LIGHT.astype(np.float32)[image] * _light(label, rng)[..., None]
    cast = rng.uniform(0.7, 1.0, 3) * np.array([1.1, 1.0, 0.85]) ** rng.uniform(-0.5, 1.5)
    light *= cast.astype(np.float32)
    light *= _exposure(light, rng.uniform(*grey))
    light += _lamps(label, rng)
    light += np.array(SODIUM, np.float32) * _number(rng, 0, 0.006)  # stray light in the lens
    shot, read = _number(rng, 0, 0.03), _number(rng, 0, 0.006)
    light += rng.standard_normal(light.shape, np.float32) * (np.sqrt(light) * shot + read)
    dark = encode(light)
    if rng.random() < 0.3:
        dark = cv2.GaussianBlur(dark, (0, 0), rng.uniform(0.4, 1.2))
    return np.asarray(dark)


def _light(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light on every pixel against the day's: float32 (H, W)."""
    height, width = label.shape
    light = np.ones((height, width), np.float32)
    for name, (least, most) in LOST_STOPS.items():
        light[label == ID_OF[name]] = 2 ** -rng.uniform(least, most)
    # The lens is soft, and so are the edges of labels.
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.5, 3.0)))
    if rng.random() < 0.8:  # own head lamps: a pool of light on everything but the sky
        rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
        down = (rows - height * rng.uniform(0.7, 1.0)) / (height * rng.uniform(0.15, 0.4))
        across = (columns - width * rng.uniform(0.35, 0.65)) / (width * rng.uniform(0.2, 0.6))
        pool = np.exp(-(down**2) - across**2) * (label != ID_OF["sky"])
        light *= 1 + _number(rng, 1, 10) * pool.astype(np.float32)
    coarse = rng.standard_normal((4, 6), np.float32)
    street = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return light * 2 ** (street * _number(rng, 0, 1.2))


def _exposure(light: np.ndarray, grey: float) -> np.float32:
    """Factor that brings linear pixels (H, W, 3) to a mean grey level; by bisection on every eighth pixel."""
    few, low, high = light[::8, ::8], -12.0, 4.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if encode(few * np.float32(2**middle)).mean() > grey else (middle, high)
    return np.float32(2**low)


def _lamps(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Street lamps, windows and the lights of vehicles, with their glow: linear float32 (H, W, 3)."""
    height, width = label.shape
    lamps = np.zeros((height, width, 3), np.float32)

    def lamp(row: int, column: int, radius: float, colour: tuple[float, ...]) -> None:
        strength = rng.uniform(1, 6)
        cv2.circle(lamps, (column, row), int(np.ceil(radius)), tuple(strength * c for c in colour), -1)

    for _ in range(rng.integers(0, 12)):
        colour = LAMPS[rng.choice(len(LAMPS), p=LAMP_CHANCES)]
        row, column = height * rng.uniform(0.05, 0.6), width * rng.uniform(0, 1)
        lamp(int(row), int(column), height / 360 * rng.uniform(0.5, 3.5), colour)
    vehicles = np.flatnonzero(np.isin(label, [ID_OF[v] for v in VEHICLES]))
    if len(vehicles) and rng.random() < 0.7:
        for _ in range(rng.integers(1, 8)):
            row, column = divmod(int(rng.choice(vehicles)), width)
            lamp(row, column, height / 360 * rng.uniform(1, 3), WHITE if rng.random() < 0.5 else RED)
    if not lamps.any():
        return lamps
    glow = np.zeros_like(lamps)
    # Pixels at a height of 360, share, and how much smaller the wide blur may be made.
    for reach, share, smaller in (((2, 5), (0.2, 1), 2), ((10, 30), (0.1, 1), 8)):
        small = cv2.resize(lamps, (width // smaller, height // smaller), interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(small, (0, 0), height / 360 / smaller * rng.uniform(*reach))
        glow += np.asarray(cv2.resize(blurred, (width, height))) * _number(rng, *share)
    return np.minimum(lamps, 1) + glow


def _number(rng: np.random.Generator, low: float, high: float) -> np.float32:
    """float32, so that numpy does not turn whole pictures to float64."""
    return np.float32(rng.uniform(low, high))
