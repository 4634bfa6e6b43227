"""Strong augmentation beyond the golden vectors: gates, sharing, determinism, an independent HSV."""

from __future__ import annotations

import colorsys
import math

import pytest
import torch
from torch import Tensor

from pipeline.adaptation.strong_augment import (
    JitterFactors,
    adjust_hue,
    adjust_saturation,
    colour_jitter,
    draw_factors,
    draw_gates,
    gaussian_blur,
    kernel_size,
    strong_augment,
)

pytestmark = pytest.mark.floats


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> Tensor:
    """Normalised noise (2, 3, 40, 48), well inside 0..1."""
    return torch.rand(2, 3, 40, 48, generator=generator(9)) - 0.5


@pytest.mark.parametrize("per_image", [True, False])
def test_gates_open_strictly_above_their_thresholds(images: Tensor, per_image: bool) -> None:
    shut = strong_augment(images, (0.2, 0.5), generator(), per_image=per_image)
    assert torch.equal(shut, images)
    above = math.nextafter(0.2, 1), math.nextafter(0.5, 1)
    jittered = strong_augment(images, (above[0], 0.5), generator(), per_image=per_image)
    blurred = strong_augment(images, (0.2, above[1]), generator(), per_image=per_image)
    assert not torch.equal(jittered, images)
    # The picture is noise, so that only blurring takes its contrast away.
    assert blurred.std() < 0.9 * images.std() < jittered.std()


def test_thresholds_can_be_set(images: Tensor) -> None:
    assert torch.equal(strong_augment(images, (0.9, 0.9), generator(), 0.9, 0.9, per_image=True), images)
    opened = strong_augment(images, (0.1, 0.1), generator(), 0.05, 0.05, per_image=True)
    assert not torch.equal(opened, images)


@pytest.mark.parametrize("per_image", [True, False])
def test_a_seed_repeats_and_another_differs(images: Tensor, per_image: bool) -> None:
    before = images.clone()
    first = strong_augment(images, (0.9, 0.9), generator(1), per_image=per_image)
    assert torch.equal(first, strong_augment(images, (0.9, 0.9), generator(1), per_image=per_image))
    assert not torch.equal(first, strong_augment(images, (0.9, 0.9), generator(2), per_image=per_image))
    assert torch.equal(images, before)


def test_sigma_is_shared_by_a_call_and_drawn_per_image_otherwise(images: Tensor) -> None:
    twins = images[:1].repeat(2, 1, 1, 1)
    together = strong_augment(twins, (0.0, 0.9), generator(), per_image=False)
    apart = strong_augment(twins, (0.0, 0.9), generator(), per_image=True)
    assert torch.equal(together[0], together[1])
    assert not torch.equal(apart[0], apart[1])
    # Image by image means exactly one call after another.
    one_by_one = generator()
    calls = [strong_augment(image, (0.9, 0.9), one_by_one, per_image=False) for image in twins.split(1)]
    assert torch.equal(strong_augment(twins, (0.9, 0.9), generator(), per_image=True), torch.cat(calls))


def test_factors_differ_from_picture_to_picture_within_a_call(images: Tensor) -> None:
    twins = images[:1].repeat(2, 1, 1, 1)
    jittered = strong_augment(twins, (0.9, 0.0), generator(), per_image=False)
    assert not torch.equal(jittered[0], jittered[1])


def test_ranges_of_the_draws() -> None:
    factors = draw_factors(4000, generator())
    for values, middle in (
        (factors.brightness, 1),
        (factors.contrast, 1),
        (factors.saturation, 1),
        (factors.hue, 0),
    ):
        assert values.shape == (4000,)
        offset = values - middle
        assert -0.2 - 1e-6 <= offset.min() < -0.19
        assert 0.19 < offset.max() <= 0.2 + 1e-6
    gates = [draw_gates(generator(seed)) for seed in range(50)]
    assert all(0 <= u < 1 for pair in gates for u in pair)
    assert len({u for pair in gates for u in pair}) == 100


def test_saturation_and_hue_agree_with_colorsys() -> None:
    pixels = torch.rand(200, 3, generator=generator())
    pixels[:4] = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0]])
    pixels[4:20, 0] = pixels[4:20, 1]  # ties for the largest channel
    pixels[20:36, 2] = pixels[20:36, 1]
    picture = pixels.T.reshape(1, 3, 10, 20)
    saturated = adjust_saturation(picture, torch.tensor([1.2]))[0].flatten(1).T
    turned = adjust_hue(picture, torch.tensor([-0.17]))[0].flatten(1).T
    for pixel, more, other in zip(pixels.tolist(), saturated.tolist(), turned.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        assert more == pytest.approx(colorsys.hsv_to_rgb(hue, min(1.2 * saturation, 1), value), abs=1e-5)
        assert other == pytest.approx(colorsys.hsv_to_rgb((hue - 0.17) % 1, saturation, value), abs=1e-5)


def test_neutral_factors_change_nothing() -> None:
    picture = torch.rand(2, 3, 8, 8, generator=generator())
    neutral = JitterFactors(torch.ones(2), torch.ones(2), torch.ones(2), torch.zeros(2))
    assert torch.allclose(colour_jitter(picture, neutral, [3, 1, 0, 2]), picture, atol=1e-6)


def test_blur_keeps_the_mean_colour_and_float32_under_autocast(images: Tensor) -> None:
    flat = torch.full((1, 3, 64, 64), 0.3)
    assert torch.allclose(gaussian_blur(flat, 1.15), flat, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = strong_augment(images, (0.9, 0.9), generator(), per_image=True)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, strong_augment(images, (0.9, 0.9), generator(), per_image=True))


def test_pictures_too_small_to_blur_pass_unchanged() -> None:
    assert kernel_size(1) == kernel_size(10) == 1
    tiny = torch.rand(1, 3, 4, 4, generator=generator())
    assert torch.equal(gaussian_blur(tiny, 1.0), tiny)
