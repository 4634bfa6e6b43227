"""Night light by label: the wanted grey level, a dark sky, deterministic, and quick enough for a loader."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.data.relight import relight
from pipeline.edge.classes import ID_OF

pytestmark = pytest.mark.floats

generator = np.random.default_rng


@pytest.fixture
def street() -> tuple[np.ndarray, np.ndarray]:
    """A day street (96, 160): bright sky, grey building, darker road, one car."""
    label = np.full((96, 160), ID_OF["building"], np.uint8)
    label[:40], label[64:] = ID_OF["sky"], ID_OF["road"]
    label[60:76, 60:90] = ID_OF["car"]
    colour = np.zeros((19, 3), np.uint8)
    for name, rgb in {
        "sky": (200, 220, 250),
        "building": (140, 120, 110),
        "road": (100,) * 3,
        "car": (60,) * 3,
    }.items():
        colour[ID_OF[name]] = rgb
    return colour[label], label


def test_mean_grey_is_in_range_but_for_lamps(street: tuple[np.ndarray, np.ndarray]) -> None:
    greys = [relight(*street, (10, 40), generator(seed)).mean() for seed in range(40)]
    assert min(greys) > 5
    assert 10 < np.median(greys) < 60  # lamps and their glow come on top


def test_the_sky_gets_darker_than_the_road(street: tuple[np.ndarray, np.ndarray]) -> None:
    _, label = street
    sky, road = label == ID_OF["sky"], label == ID_OF["road"]
    nights = [relight(*street, (20, 40), generator(seed)) for seed in range(40)]
    assert street[0][sky].mean() > street[0][road].mean()
    darker = [night[sky].mean() < night[road].mean() for night in nights]
    assert np.mean(darker) > 0.7


def test_same_seed_same_night_and_the_inputs_stay(street: tuple[np.ndarray, np.ndarray]) -> None:
    image, label = street[0].copy(), street[1].copy()
    first = relight(image, label, (10, 60), generator(3))
    assert first.dtype == np.uint8
    assert first.shape == image.shape
    assert np.array_equal(first, relight(image, label, (10, 60), generator(3)))
    assert not np.array_equal(first, relight(image, label, (10, 60), generator(4)))
    assert np.array_equal(image, street[0])
    assert np.array_equal(label, street[1])


def test_a_picture_of_nothing_labelled_is_no_problem() -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    night = relight(image, np.full((64, 64), 255, np.uint8), (10, 20), generator(0))
    assert night.mean() < image.mean()
