"""The parity gate: rounding passes whatever it swaps, more than rounding is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.onnx.gate import Reference, Verdict, judge

pytestmark = pytest.mark.floats

BOUND = 1e-3


def answer(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and confidence at the logits' own size, as a graph gives them."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return logits.argmax(axis=1).astype(np.uint8), 255 / shifted.sum(axis=1)


def verdict(exact: np.ndarray, found: np.ndarray, classes: np.ndarray | None = None) -> Verdict:
    reference = Reference(torch.from_numpy(exact), torch.from_numpy(answer(exact)[1]), BOUND)
    best, confidence = answer(found)
    return judge(reference, best if classes is None else classes, confidence.round().astype(np.uint8), found)


def tied(seed: int) -> np.ndarray:
    """Logits float64 (2, 5, 6, 8), a third of whose pixels have their two highest within a hair of each other."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (2, 5, 6, 8))
    first, second = np.argsort(logits, axis=1)[:, -1:], np.argsort(logits, axis=1)[:, -2:-1]
    close = np.take_along_axis(logits, first, 1) - random.uniform(0, 1e-7, first.shape)
    close = np.where(random.random(first.shape) < 1 / 3, close, np.take_along_axis(logits, second, 1))
    np.put_along_axis(logits, second, close, 1)
    return logits


@given(st.integers(0, 2**32), st.floats(0, 0.99))
def test_rounding_is_never_refused(seed: int, size: float) -> None:
    exact = tied(seed)
    rounded = exact + np.random.default_rng(seed).uniform(-1, 1, exact.shape) * size * BOUND
    found = verdict(exact, rounded)
    assert found.fault is None
    assert found.ties >= 10
    assert found.wrong == 0
    assert found.ties_swapped == (exact.argmax(1) != rounded.argmax(1)).sum()


def test_all_pixels_may_be_ties() -> None:
    exact = np.zeros((1, 5, 6, 8))
    swapped = verdict(exact, exact + np.linspace(0, 1e-6, 5)[:, None, None])
    assert swapped.fault is None
    assert (swapped.ties, swapped.ties_swapped) == (48, 48)


@given(st.integers(0, 2**32), st.sampled_from([1, -1]), st.floats(1.01, 100))
def test_one_logit_beyond_the_bound_is_refused(seed: int, sign: int, times: float) -> None:
    exact = tied(seed)
    off = exact.copy()
    off.flat[seed % off.size] += sign * times * BOUND
    assert (verdict(exact, off).fault or "").startswith("its logits differ by 0.")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    exact = tied(0)
    off = exact.copy()
    off[0, 0, 0, 0] = value
    classes = answer(exact)[0]
    confidence = np.zeros_like(classes)
    for wanted in (exact, off):  # torch may answer that, too
        reference = Reference(torch.from_numpy(wanted), torch.zeros(classes.shape).double(), BOUND)
        assert "its logits differ by" in (judge(reference, classes, confidence, off).fault or "")


@given(st.integers(0, 2**32))
def test_one_clear_pixel_of_another_class_is_refused(seed: int) -> None:
    exact = tied(seed)
    second, first = np.sort(exact, axis=1)[:, -2:].swapaxes(0, 1)
    n, y, x = np.argwhere(first - second > 2 * BOUND)[0]
    classes = answer(exact)[0]
    classes[n, y, x] = (classes[n, y, x] + 1) % 5
    fault = verdict(exact, exact, classes).fault
    assert fault == "1 of 96 pixels at batch 2, 6x8 have another class that no rounding explains"


def test_another_confidence_is_refused() -> None:
    exact = tied(0)
    reference = Reference(torch.from_numpy(exact), torch.from_numpy(answer(exact)[1]), BOUND)
    classes, confidence = answer(exact)
    off = confidence.round().astype(np.uint8)
    off[1, 2, 3] += 2
    assert "its confidence differs by" in (judge(reference, classes, off, exact).fault or "")
