"""Colour jitter and blur against the published implementation's outputs (kornia 0.5.8)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from pipeline.adaptation.strong_augment import JitterFactors, colour_jitter, gaussian_blur, kernel_size
from pipeline.networks.normalise import MEAN, STD, denormalise, renormalise

pytestmark = pytest.mark.floats

Golden = Callable[[str], dict[str, np.ndarray]]
OPERATIONS = ("brightness", "contrast", "saturation", "hue")
assert_close = partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-5)  # the file itself allows 1e-3


def factors_of(data: dict[str, np.ndarray]) -> JitterFactors:
    return JitterFactors(*torch.from_numpy(data["factors_brightness_contrast_saturation_hue"]).unbind(dim=1))


@pytest.mark.parametrize("operation", range(4))
def test_one_adjustment(golden: Golden, operation: int) -> None:
    data = golden("color_jitter")
    result = colour_jitter(torch.from_numpy(data["image01"]), factors_of(data), [operation])
    assert_close(result.numpy(), data[f"only_{OPERATIONS[operation]}"])


def test_all_adjustments_in_the_given_order(golden: Golden) -> None:
    data = golden("color_jitter")
    images = torch.from_numpy(data["image01"])
    orders = int(data["n_orders"])
    assert orders == 3
    for k in range(orders):
        result = colour_jitter(images, factors_of(data), data[f"order{k}"].tolist())
        assert_close(result.numpy(), data[f"jitter_out{k}"])


def test_gaussian_blur(golden: Golden) -> None:
    data = golden("gaussian_blur")
    sizes = [[kernel_size(height), kernel_size(width)] for height, width in data["sizes_hw"].tolist()]
    assert sizes == data["kernel_yx"].tolist()
    assert len(data["sigma"]) == 3
    for sigma, expected in zip(data["sigma"].tolist(), data["blurred"], strict=True):
        blurred = gaussian_blur(torch.from_numpy(data["image"]), sigma)
        assert_close(blurred.numpy(), expected)


def test_whole_strong_augmentation(golden: Golden) -> None:
    data = golden("strong_augmentation")
    np.testing.assert_allclose(MEAN, data["mean"], rtol=1e-6)
    np.testing.assert_allclose(STD, data["std"], rtol=1e-6)
    images = denormalise(torch.from_numpy(data["normalised_image"]))
    jittered = renormalise(colour_jitter(images, factors_of(data), data["order"].tolist()))
    result = gaussian_blur(jittered, float(data["sigma"]))
    np.testing.assert_allclose(result.numpy(), data["out_jitter_and_blur"], rtol=1e-4, atol=1e-4)
