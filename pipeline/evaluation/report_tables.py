"""Tables and bars of the report: gains by condition and by class, class shares, all scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pipeline.evaluation.verdict import LABELS, interval, points, signed, tone_of, winners_and_losers

ARROW, DASH = "\N{RIGHTWARDS ARROW}", "\N{EN DASH}"


@dataclass(frozen=True)
class _Row:
    """One bar: a gain with its interval, and the scores that it lies between."""

    name: str
    gain: float
    ci95: list[float] | None
    before: float
    after: float


def gains(compare: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> str:
    """Gains by condition and by class as bars from zero, sorted, winners and losers named."""
    gained, old, new = compare["target"], before["target"], after["target"]
    conditions = [
        _Row(
            c, g["miou_gain"], g["miou_gain_ci95"], old["conditions"][c]["miou"], new["conditions"][c]["miou"]
        )
        for c, g in gained["conditions"].items()
        if g["miou_gain"] is not None
    ]
    classes = [
        _Row(c, gain, gained["per_class_gain_ci95"][c], old["per_class"][c], new["per_class"][c])
        for c, gain in gained["per_class_gain"].items()
        if gain is not None
    ]
    absent = [c for c, gain in gained["per_class_gain"].items() if gain is None]
    parts = [
        "<h2>Where it gains and where it loses</h2>",
        f"<p>{escape(' '.join(winners_and_losers(compare)))}</p>",
        "<p class='note'>Pale bars may be chance: their 95 % interval holds zero.</p>",
        f"<div class='card'><h3>By condition</h3>{_bars(conditions)}</div>",
        f"<div class='card'><h3>By class</h3>{_bars(classes)}</div>",
    ]
    if absent:
        parts.append(
            f"<p class='note'>Not scored, as no target pixel carries such a label: {', '.join(absent)}.</p>"
        )
    return "".join(parts)


def _bars(rows: Sequence[_Row]) -> str:
    low = min([0.0] + [r.gain for r in rows])
    reach = max([0.0] + [r.gain for r in rows]) - low
    reach = max(reach, 0.02)  # so that a difference of nothing does not look like one
    zero = -100 * low / reach
    lines = [
        "<li class='head'><span></span><span></span><span>points</span><span>95 % interval</span>"
        f"<span>before {ARROW} after</span></li>"
    ]
    for r in sorted(rows, key=lambda r: -r.gain):
        width = 100 * abs(r.gain) / reach
        left = zero if r.gain >= 0 else zero - width
        tone = "gain" if r.gain >= 0 else "loss"
        maybe = " maybe" if tone_of(r.gain, r.ci95) == "unclear" else ""
        lines.append(
            f"<li><span>{escape(r.name)}</span><span class='track'>"
            f"<span class='bar {tone}{maybe}' style='left:{left:.2f}%;width:{width:.2f}%'></span></span>"
            f"<b class='{tone}'>{signed(r.gain)}</b><span class='muted'>{interval(r.ci95)}</span>"
            f"<span class='muted'>{points(r.before)} {ARROW} {points(r.after)}</span></li>"
        )
    return f"<ul class='bars' style='--zero:{zero:.2f}%'>{''.join(lines)}</ul>"


def class_shares(compare: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> str:
    """Without labels: how much of the pictures each model gives to each class."""
    old, new = before["target"]["class_shares"], after["target"]["class_shares"]
    names = sorted((n for n in old if max(old[n], new[n]) >= 5e-4), key=lambda n: -abs(new[n] - old[n]))
    rows = [[n, f"{100 * old[n]:.1f} %", f"{100 * new[n]:.1f} %", signed(new[n] - old[n])] for n in names]
    heads = ["class", LABELS[compare["baseline"]], LABELS[compare["method"]], "change, points"]
    return (
        "<h2>What each model sees</h2><p>Share of all pixels given to each class, the largest change first. "
        f"Whether a change is for the better, only a person or a label can say.</p>{_table(heads, rows)}"
    )


def scores(compare: dict[str, Any], metrics: dict[str, dict[str, Any]]) -> str:
    """Every method's scores and the differences of pairs; columns without any score are left out."""
    conditions = list(compare["target"]["conditions"])
    heads = ["source", "target", *(conditions if len(conditions) > 1 else [])]
    last = [
        "pixels right",
        "other network",
        "calibration error",
        "mean confidence",
        "the two agree",
        "same when hidden",
    ]
    rows = [_score_cells(m, heads[2:]) for m in metrics.values()]
    heads += last
    kept = [i for i in range(len(heads)) if any(row[i] is not None for row in rows)]
    shown = [
        [LABELS[m], *(DASH if row[i] is None else points(row[i]) for i in kept)]
        for m, row in zip(metrics, rows, strict=True)
    ]
    pairs = [
        [
            f"{LABELS[p['method']]} minus {LABELS[p['baseline']]}",
            signed(p["miou_gain"]),
            interval(p["miou_gain_ci95"]),
        ]
        for p in compare["pairs"]
        if p["miou_gain"] is not None
    ]
    return (
        "<h2>All scores</h2><p class='note'>Out of 100. Source, target and each condition: mIoU on pictures "
        "that training never saw. Training keeps two networks, the student and the teacher, a slowly moving copy of "
        "it; other network: the one that is not scored here, on the target. "
        "Calibration error: how far confidence and correctness lie apart, 0 is best. The last three need no labels "
        "and prove nothing alone: same when hidden is the share of hidden pixels that keep their class.</p>"
        + _table(["model", *(heads[i] for i in kept)], shown)
        + (_table(["on the target", "points", "95 % interval"], pairs) if len(pairs) > 1 else "")
    )


def _score_cells(metrics: dict[str, Any], conditions: Sequence[str]) -> list[Any]:
    target = metrics["target"]
    return [
        metrics["source"]["miou"],
        target["miou"],
        *(target["conditions"][c]["miou"] for c in conditions),
        target["pixel_accuracy"],
        (metrics.get("teacher") or metrics.get("student") or {}).get("target", {}).get("miou"),
        target["ece"],
        target["mean_confidence"],
        target["label_free"]["teacher_agreement"],
        target["label_free"]["masked_consistency"],
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<div class='card scroll'><table><tr>{head}</tr>{body}</table></div>"
