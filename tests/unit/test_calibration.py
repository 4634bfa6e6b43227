"""Expected calibration error against sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.calibration import BINS, Calibration

pytestmark = pytest.mark.floats


def test_two_bins_by_hand() -> None:
    # Bin of 0.9: four pixels, three right, off by 0.15; bin of 0.5: two pixels, both right, off by 0.5.
    c = Calibration()
    c.add(np.array([0.9, 0.9, 0.9, 0.9, 0.5, 0.5]), np.array([True, True, True, False, True, True]))
    assert c.error() == pytest.approx((4 * 0.15 + 2 * 0.5) / 6)
    assert [b["accuracy"] for b in c.curve()] == pytest.approx([1.0, 0.75])
    assert [b["share"] for b in c.curve()] == pytest.approx([2 / 6, 4 / 6])


def test_over_and_underconfidence_do_not_cancel_across_bins_but_do_within_one() -> None:
    across, within = Calibration(), Calibration()
    across.add(np.array([0.2, 0.8]), np.array([True, False]))
    within.add(np.array([0.5, 0.5]), np.array([True, False]))
    assert across.error() == pytest.approx(0.8)
    assert within.error() == pytest.approx(0.0)


def test_pictures_add_up_to_the_whole_set() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(size=(5, 8, 9)).astype(np.float32)
    correct = rng.uniform(size=confidence.shape) < confidence
    one_by_one, at_once = Calibration(), Calibration()
    for c, k in zip(confidence, correct, strict=True):
        one_by_one.add(c, k)
    at_once.add(confidence, correct)
    assert one_by_one.error() == pytest.approx(at_once.error())
    assert at_once.pixels.sum() == confidence.size


def test_edges_fall_into_the_closed_bin_and_the_ends_stay_inside() -> None:
    c = Calibration()
    c.add(np.array([0.0, 1 / BINS, 1.0]), np.array([False, False, True]))
    assert c.pixels[0] == 2
    assert c.pixels[-1] == 1


def test_no_pixel_has_no_error() -> None:
    c = Calibration()
    c.add(np.zeros(0), np.zeros(0, bool))
    assert c.error() is None
    assert c.curve() == []
