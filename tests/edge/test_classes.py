"""The class list, the Cityscapes colours, and how far apart the safe colours are for colour-blind people."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from pipeline.edge.classes import CLASSES, ID_OF, IGNORE, NUM_CLASSES, palette

# Machado, Oliveira, Fernandes 2009: full dichromacy, on linear RGB
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def closest_pair(colours: np.ndarray, vision: str) -> tuple[float, str]:
    """The smallest CIE76 distance between two of 19 sRGB colours as that eye sees them, and the pair."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    xyz = seen @ np.array(
        [
            [0.4124564, 0.2126729, 0.0193339],
            [0.3575761, 0.7151522, 0.1191920],
            [0.1804375, 0.0721750, 0.9503041],
        ]
    )
    f = xyz / [0.95047, 1, 1.08883]
    f = np.where(f > 0.008856, np.cbrt(f), 7.787 * f + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)
    pairs = combinations(range(len(colours)), 2)
    return min(
        (float(np.linalg.norm(lab[a] - lab[b])), f"{CLASSES[a].name}/{CLASSES[b].name}") for a, b in pairs
    )


@pytest.mark.parametrize("vision", VISION)
def test_safe_colours_stay_apart_for_every_eye(vision: str) -> None:
    distance, pair = closest_pair(palette(safe=True)[:NUM_CLASSES].astype(float), vision)
    assert distance >= 21.9, pair


def test_the_measure_finds_the_known_faults_of_the_cityscapes_colours() -> None:
    colours = palette()[:NUM_CLASSES].astype(float)
    assert closest_pair(colours, "deuteranopia") == (pytest.approx(6.1, abs=0.05), "vegetation/person")
    assert closest_pair(colours, "protanopia") == (pytest.approx(3.4, abs=0.05), "fence/pole")


def test_palette_is_the_reference_one(shared: Path) -> None:
    golden = np.load(shared / "golden" / "label_maps.npz")["palette"]
    np.testing.assert_array_equal(palette()[:NUM_CLASSES], golden)


def test_ids_are_the_positions_and_the_rest_is_black() -> None:
    assert [c.id for c in CLASSES] == list(range(NUM_CLASSES))
    assert ID_OF["traffic light"] == 6
    assert len(ID_OF) == NUM_CLASSES
    assert palette().shape == (256, 3)
    assert not palette()[NUM_CLASSES:].any()
    assert palette()[IGNORE].tolist() == [0, 0, 0]
