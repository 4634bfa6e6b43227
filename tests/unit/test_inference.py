"""Whole and sliding inference: sizes, padding, and that the two agree where they must."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.edge.errors import UserError
from pipeline.edge.images import resize_image
from pipeline.evaluation.inference import predict, predict_logits
from pipeline.networks.normalise import normalise
from pipeline.networks.sliding import Sliding
from pipeline.networks.windows import window_boxes

pytestmark = pytest.mark.floats


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


class Recorder:
    """A pointwise network, logits = the three normalised channels, that notes what it is shown."""

    def __init__(self, stride: int = 1) -> None:
        self.stride = stride
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.sizes.append(tuple(images.shape))
        return F.avg_pool2d(images, self.stride)


def test_whole_mode_pads_for_the_network_and_cuts_again() -> None:
    image, network = picture(50, 70), Recorder()
    logits = predict_logits(network, image, size=None)
    assert network.sizes == [(1, 3, 64, 96)]
    assert logits.dtype == torch.float32
    assert torch.equal(logits, normalise(torch.from_numpy(image)[None])[0])


def test_pictures_are_fitted_with_the_aspect_kept() -> None:
    image, network = picture(100, 300), Recorder()
    logits = predict_logits(network, image, size=(64, 128))
    assert logits.shape == (3, 43, 128)
    assert network.sizes == [(1, 3, 64, 128)]
    resized = resize_image(image, (43, 128))
    assert torch.equal(logits, normalise(torch.from_numpy(resized.copy())[None])[0])


def test_padding_is_the_mean_colour() -> None:
    shown: list[Tensor] = []

    def network(images: Tensor) -> Tensor:
        shown.append(images)
        return images

    predict_logits(network, picture(33, 32), size=None)
    assert shown[0].shape == (1, 3, 64, 32)
    assert shown[0][:, :, 33:].abs().max() < 0.02


def test_logits_at_a_stride_are_enlarged_before_the_cut() -> None:
    image, network = picture(40, 64), Recorder(stride=4)
    logits = predict_logits(network, image, size=None)
    padded = np.full((64, 64, 3), (124, 116, 104), np.uint8)
    padded[:40] = image
    small = F.avg_pool2d(normalise(torch.from_numpy(padded)[None]), 4)
    wanted = F.interpolate(small, size=(64, 64), mode="bilinear", align_corners=False)[0, :, :40]
    assert torch.allclose(logits, wanted)


def test_classes_have_the_pictures_own_size_by_nearest() -> None:
    image = picture(90, 200)
    result = predict(Recorder(), image, size=(64, 128))
    small = predict_logits(Recorder(), image, size=(64, 128)).argmax(dim=0).numpy()
    assert small.shape == (58, 128)
    rows, columns = np.arange(90) * 58 // 90, np.arange(200) * 128 // 200
    assert result.classes.dtype == np.uint8
    np.testing.assert_array_equal(result.classes, small[rows][:, columns])


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_confidence_is_a_quarter_of_the_resized_picture(stride: int) -> None:
    result = predict(Recorder(stride), picture(50, 70), size=None)
    assert result.confidence.shape == (13, 18)
    assert result.confidence.dtype == np.float32
    assert 1 / 3 <= result.confidence.min() <= result.confidence.max() <= 1


def test_confidence_of_a_stride_four_network_is_its_own_softmax() -> None:
    image = picture(32, 64)
    logits = F.avg_pool2d(normalise(torch.from_numpy(image)[None]), 4)
    result = predict(Recorder(4), image, size=None)
    np.testing.assert_allclose(result.confidence, logits.softmax(1).amax(1)[0].numpy(), rtol=1e-6)


def test_sliding_equals_whole_for_a_pointwise_network() -> None:
    image, network = picture(70, 150), Recorder()
    whole = predict_logits(Recorder(), image, size=None)
    sliding = predict_logits(Sliding(network, (64, 64), (32, 48)), image, size=None)
    assert torch.allclose(whole, sliding, atol=1e-6)
    assert len(network.sizes) == 2 * 3
    assert set(network.sizes) == {(1, 3, 64, 64)}


def test_a_window_larger_than_the_picture_is_one_pass() -> None:
    network = Recorder()
    predict(Sliding(network, (128, 128), (64, 64)), picture(40, 40), size=None)
    assert network.sizes == [(1, 3, 64, 64)]


@settings(max_examples=80, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), side=st.integers(1, 40), step=st.integers(1, 40))
def test_windows_stay_inside_and_cover_everything(height: int, width: int, side: int, step: int) -> None:
    step = min(step, side)
    covered = np.zeros((height, width), bool)
    for y1, y2, x1, x2 in window_boxes(height, width, (side, side), (step, step)):
        assert 0 <= y1 < y2 <= height
        assert 0 <= x1 < x2 <= width
        assert (y2 - y1, x2 - x1) == (min(side, height), min(side, width))
        covered[y1:y2, x1:x2] = True
    assert covered.all()


def test_the_smallest_picture() -> None:
    result = predict(Recorder(), picture(2, 2), size=None)
    assert result.classes.shape == (2, 2)
    assert result.confidence.shape == (1, 1)


def test_a_network_in_training_mode_is_refused() -> None:
    network = nn.Conv2d(3, 5, 1)
    with pytest.raises(ValueError, match="training mode"):
        predict_logits(network.train(), picture(32, 32), size=None)
    logits = predict_logits(network.eval(), picture(32, 32), size=None)
    assert logits.shape == (5, 32, 32)
    assert not logits.requires_grad


def test_unfit_windows_are_refused() -> None:
    with pytest.raises(UserError, match=r"evaluate.window \[50, 64\] must be multiples of 32"):
        Sliding(Recorder(), (50, 64), (32, 32))
