"""Night-like pictures: the light really falls by the exposure, and only the chosen share of pictures changes."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.data.colour_match import colour_match, colours
from pipeline.data.darken import darken, night_like
from pipeline.data.linear_light import srgb_decode, srgb_encode
from pipeline.params.train import Darken

pytestmark = pytest.mark.floats

RAMP = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2).repeat(40, axis=1)  # (256, 40, 3)
NO_LABEL = np.full(RAMP.shape[:2], 255, np.uint8)
TARGETS = [
    colours(np.random.default_rng(i).integers(0, 60 + 20 * i, (30, 40, 3), np.uint8)) for i in range(3)
]


def night(image: np.ndarray, label: np.ndarray, config: Darken, seed: int) -> np.ndarray:
    return night_like(image, label, config, seed, lambda rng: TARGETS[rng.integers(3)])


def test_srgb_is_the_standard_and_its_own_inverse() -> None:
    levels = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(srgb_encode(srgb_decode(levels)), levels, atol=2e-5)
    assert srgb_decode(np.array(0.5)) == pytest.approx(0.21404, abs=1e-5)


def test_no_exposure_cast_or_noise_changes_nothing() -> None:
    assert np.array_equal(darken(RAMP, np.ones(3), 0.0, np.random.default_rng(0)), RAMP)


def test_every_stop_halves_the_light_of_its_channel() -> None:
    gain = np.array([1.0, 0.5, 0.25])
    dark = darken(RAMP, gain, 0.0, np.random.default_rng(0))
    light = srgb_decode(dark / 255)
    expected = srgb_decode(RAMP / 255) * gain
    assert np.abs(srgb_encode(light) - srgb_encode(expected)).max() < 0.5 / 255 + 1e-4


def test_noise_keeps_the_mean_and_grows_with_the_light() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    grey[:100] = 40
    noisy = srgb_decode(darken(grey, np.ones(3), 0.01, np.random.default_rng(0)) / 255)
    dim, bright = noisy[:100], noisy[100:]
    light = float(srgb_decode(np.array(128 / 255)))
    assert bright.mean() == pytest.approx(light, rel=0.02)
    assert bright.std() == pytest.approx((0.01**2 + 0.01 * light) ** 0.5, rel=0.05)
    assert dim.std() < 0.6 * bright.std()


def test_a_share_is_darkened_and_the_rest_is_left_as_it_is() -> None:
    picture, label = RAMP[100:200], NO_LABEL[100:200]
    nights = [night(picture, label, Darken(kind="exposure", share=0.3), s) for s in range(400)]
    changed = [dark for dark in nights if not np.array_equal(dark, picture)]
    assert 0.24 < len(changed) / len(nights) < 0.36
    assert all(dark.mean() < picture.mean() for dark in changed)
    never = Darken(kind="exposure", share=0.0)
    assert all(np.array_equal(night(picture, label, never, s), picture) for s in range(50))


def test_the_seed_alone_decides() -> None:
    always = Darken(kind="exposure", share=1.0)
    first, again, other = (night(RAMP, NO_LABEL, always, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_kind_relight_needs_the_label_and_meets_its_grey() -> None:
    relit = Darken(share=1.0, kind="relight", grey=(5, 20))
    sky = np.full(RAMP.shape[:2], 10, np.uint8)
    dark = night(RAMP, sky, relit, 0)
    assert dark.mean() < RAMP.mean() / 2
    assert not np.array_equal(dark, night(RAMP, NO_LABEL, relit, 0))


def test_kind_match_takes_the_colours_of_each_target_picture() -> None:
    rng = np.random.default_rng(5)
    picture = rng.integers(90, 170, (40, 50, 3), np.uint8)
    label = np.full(picture.shape[:2], 255, np.uint8)
    wanted = [
        colours(np.clip(rng.normal(m, 12, (40, 50, 3)), 0, 255).astype(np.uint8)) for m in (40, 80, 120)
    ]
    config, nearest = Darken(kind="match", share=1.0), set()
    for seed in range(20):
        found = colours(night_like(picture, label, config, seed, lambda rng: wanted[rng.integers(3)]))
        away = [max(abs(found.mean - w.mean).max(), abs(found.deviation - w.deviation).max()) for w in wanted]
        assert min(away) < 1  # of 100: rounding to 8 bits
        nearest.add(int(np.argmin(away)))
    assert nearest == {0, 1, 2}


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_match_takes_pictures_of_one_colour(grey: int) -> None:
    flat = np.full((8, 8, 3), grey, np.uint8)
    for image, wanted in ((flat, TARGETS[0]), (RAMP, colours(flat)), (flat, colours(flat))):
        matched = colour_match(image, wanted)
        assert matched.dtype == np.uint8
        assert abs(colours(matched).mean[0] - wanted.mean[0]) < 1
