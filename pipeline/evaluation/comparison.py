"""The numbers of metrics/compare.json: gains with their intervals, from the confusions of each picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.edge.classes import CLASSES
from pipeline.evaluation.bootstrap import Gain, paired_bootstrap
from pipeline.evaluation.confusion import labelled_classes, mean_iou

Confusions = dict[str, np.ndarray]
"""The arrays of evaluation/<method>.npz: source and target (n, 19, 19), target_conditions (n,), ..."""


def domain_gain(
    before: Confusions, after: Confusions, domain: str, draws: int, seed: int, scored: Sequence[int]
) -> dict[str, Any]:
    """miou_gain and miou_gain_ci95 on one domain; None without labels, the interval also for one picture.

    `scored` are the train ids that count in the mean.
    """
    return _overall(_gain(before[domain], after[domain], draws, seed, scored))


def target_gain(
    before: Confusions,
    after: Confusions,
    conditions: Sequence[str],
    draws: int,
    seed: int,
    scored: Sequence[int],
) -> dict[str, Any]:
    """The `target` block: gain overall, by class and by condition, with intervals; None without labels."""
    gain = _gain(before["target"], after["target"], draws, seed, scored)
    parts = {}
    for name in conditions:
        chosen = before["target_conditions"] == name
        part = _gain(before["target"][chosen], after["target"][chosen], draws, seed, scored)
        parts[name] = {**_overall(part), "per_class_gain": _per_class(part)}
    return {
        **_overall(gain),
        "per_class_gain": _per_class(gain),
        "per_class_gain_ci95": _per_class_ci95(gain),
        "conditions": parts,
    }


def pair_gains(
    confusions: dict[str, Confusions],
    baseline: str,
    methods: Sequence[str],
    draws: int,
    seed: int,
    scored: Sequence[int],
) -> list[dict[str, Any]]:
    """Target gain of every method over the baseline, then of the first method over each other one."""
    pairs = [(m, baseline) for m in methods] + [(methods[0], m) for m in methods[1:]]
    return [
        {
            "method": m,
            "baseline": b,
            **domain_gain(confusions[b], confusions[m], "target", draws, seed, scored),
        }
        for m, b in pairs
    ]


def picture_scores(confusions: np.ndarray, scored: Sequence[int]) -> list[float]:
    """mIoU (0..1) of each picture alone, over the scored classes labelled in it; from (n, 19, 19)."""
    return [mean_iou(c, labelled_classes(c, scored)) for c in confusions]


def _gain(before: np.ndarray, after: np.ndarray, draws: int, seed: int, scored: Sequence[int]) -> Gain | None:
    labelled = before.sum(axis=2)[:, list(scored)].any()
    return paired_bootstrap(before, after, draws, seed, scored) if labelled else None


def _overall(gain: Gain | None) -> dict[str, Any]:
    ci95 = None if gain is None or gain.miou_ci95 is None else [round(v, 6) for v in gain.miou_ci95]
    return {"miou_gain": None if gain is None else round(gain.miou, 6), "miou_gain_ci95": ci95}


def _per_class(gain: Gain | None) -> dict[str, float | None]:
    if gain is None:
        return {c.name: None for c in CLASSES}
    return {c.name: None if np.isnan(v := gain.per_class[c.id]) else round(float(v), 6) for c in CLASSES}


def _per_class_ci95(gain: Gain | None) -> dict[str, list[float] | None]:
    if gain is None:
        return {c.name: None for c in CLASSES}
    intervals = {c.name: gain.per_class_ci95[c.id] for c in CLASSES}
    return {n: None if np.isnan(v).any() else [round(float(x), 6) for x in v] for n, v in intervals.items()}
