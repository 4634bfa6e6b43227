"""Numbers in words: signs, intervals and what may be called a gain."""

from __future__ import annotations

import pytest

from pipeline.evaluation.verdict import interval, listed, points, signed, tone_of, winners_and_losers


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0123, "+1.2"), (-0.0123, "\N{MINUS SIGN}1.2"), (0.0, "0.0"), (-0.0001, "0.0"), (None, "no score")],
)
def test_signed_points(share: float | None, text: str) -> None:
    assert signed(share) == text


def test_points_interval_and_lists() -> None:
    assert points(0.3256) == "32.6"
    assert interval([-0.01, 0.02]) == "\N{MINUS SIGN}1.0 to +2.0"
    assert interval(None) == "\N{EN DASH}"
    assert [listed(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("gain", "ci95", "tone"),
    [
        (0.02, [0.01, 0.03], "gain"),
        (-0.02, [-0.03, -0.01], "loss"),
        (0.02, [-0.001, 0.04], "unclear"),
        (0.02, [0.0, 0.04], "unclear"),
        (0.02, None, "unclear"),
        (None, None, "unknown"),
    ],
)
def test_a_gain_needs_its_whole_interval_above_zero(gain: float, ci95: list[float] | None, tone: str) -> None:
    assert tone_of(gain, ci95) == tone


def test_winners_and_losers_are_named_and_chance_is_said() -> None:
    gains = {
        "road": 0.1,
        "car": 0.05,
        "sky": 0.02,
        "pole": 0.01,
        "wall": -0.03,
        "bus": None,
        "person": 0.0001,
    }
    sure = {n: None if g is None else [g - 0.015, g + 0.015] for n, g in gains.items()}
    compare = {"target": {"per_class_gain": gains, "per_class_gain_ci95": sure}}
    won, lost = winners_and_losers(compare)
    assert won == "Most gained: road (+10.0), car (+5.0) and sky (+2.0)."
    assert lost == "Most lost: wall (\N{MINUS SIGN}3.0)."
    sure["wall"] = [-0.07, 0.01]
    assert "may be chance" in winners_and_losers(compare)[1]
