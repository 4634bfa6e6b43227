"""Shares, changed share and swaps of two class maps, against counts done by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.comparison import compare

MAPS = arrays(np.uint8, (6, 5), elements=st.integers(0, 18))


def test_counts_by_hand() -> None:
    before = np.array([[0, 0, 0, 1], [0, 0, 10, 10]], np.uint8)
    after = np.array([[0, 0, 1, 1], [1, 0, 10, 2]], np.uint8)
    both = compare(before, after)
    assert both.changed == pytest.approx(3 / 8)
    assert [(s.before, s.after, s.share) for s in both.swaps] == [
        ("road", "sidewalk", pytest.approx(2 / 8)),
        ("sky", "building", pytest.approx(1 / 8)),
    ]
    shares = {s.name: (s.before, s.after) for s in both.shares}
    assert shares == {
        "road": (pytest.approx(5 / 8), pytest.approx(3 / 8)),
        "sidewalk": (pytest.approx(1 / 8), pytest.approx(3 / 8)),
        "sky": (pytest.approx(2 / 8), pytest.approx(1 / 8)),
        "building": (0, pytest.approx(1 / 8)),
    }
    assert both.shares[0].name == "road"  # largest first
    assert both.shares[0].change == pytest.approx(-2 / 8)


def test_every_class_pair_is_told_apart() -> None:
    first, second = np.divmod(np.arange(361, dtype=np.int64), 19)
    both = compare(first.astype(np.uint8)[None], second.astype(np.uint8)[None])
    assert len(both.swaps) == 19 * 18
    assert both.changed == pytest.approx(18 / 19)
    assert len(both.shares) == 19


def test_equal_maps_change_nothing() -> None:
    same = np.full((3, 4), 18, np.uint8)
    both = compare(same, same)
    assert both.changed == 0
    assert both.swaps == ()
    assert [(s.name, s.before, s.after) for s in both.shares] == [("bicycle", 1, 1)]


@settings(deadline=None)
@given(MAPS, MAPS)
def test_shares_add_up(before: np.ndarray, after: np.ndarray) -> None:
    both = compare(before, after)
    assert sum(s.before for s in both.shares) == pytest.approx(1)
    assert sum(s.after for s in both.shares) == pytest.approx(1)
    assert both.changed == pytest.approx(float((before != after).mean()))
    assert sum(s.share for s in both.swaps) == pytest.approx(both.changed)
    assert [s.share for s in both.swaps] == sorted((s.share for s in both.swaps), reverse=True)


def test_json_holds_plain_numbers_and_the_largest_swaps() -> None:
    before = np.arange(19, dtype=np.uint8)[None]
    facts = compare(before, np.roll(before, 1)).as_json(swaps=5)
    assert json.loads(json.dumps(facts)) == facts
    assert len(facts["swaps"]) == 5
    assert len(facts["classes"]) == 19


def test_maps_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        compare(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
