"""The table and the picture of an ablation: rows over seeds, and what each gains over another, paired by seed.

Seeds are few, so the interval of a mean gain is Student's; fewer than five are a lead, not a result.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table
from scipy.stats import t as student_t

from pipeline.edge.classes import CLASSES
from pipeline.run.files import write_bytes

Scores = Mapping[str, Sequence[dict[str, Any]]]
"""row -> the metrics of each seed, and below `training` what a step took."""

ENOUGH = 5  # seeds of a result


def summary(
    scores: Scores, seeds: Sequence[int], against: Mapping[str, str], upper: str | None = None
) -> dict[str, Any]:
    """Points (0..100) of every row: source and target mIoU by seed, gain seed by seed, classes, label-free shares.

    `against`: row -> the row its gain is measured against; a row has no gain against itself or a row not run.
    `upper`: the row trained on target labels; a row closes the share (row - first) / (upper - first) of the gap.
    """
    out: dict[str, Any] = {"seeds": list(seeds), "rows": {}}
    lowest, highest = (scores.get(name) if name else None for name in (next(iter(scores)), upper))
    for row, by_seed in scores.items():
        target = [_points(m["target"]["miou"]) for m in by_seed]
        base = against[row] if against[row] in scores and against[row] != row else None
        gain = _gain(by_seed, scores[base], "target") if base is not None else None
        source_gain = _gain(by_seed, scores[base], "source") if base is not None else None
        free = [m["target"].get("label_free") or {} for m in by_seed]
        shares = [m["target"]["class_shares"] or {} for m in by_seed]
        out["rows"][row] = {
            "against": base,
            "source": [_points(m["source"]["miou"]) for m in by_seed],
            "target": target,
            "gain": gain,
            "gain_ci95": interval(gain),
            "source_gain": source_gain,
            "source_gain_ci95": interval(source_gain),
            "gap_closed": _gap_closed(lowest, by_seed, highest),
            "seconds_per_step": _mean([m["training"]["seconds_per_step"] for m in by_seed]),
            "memory_gib": _mean([m["training"]["memory_gib"] for m in by_seed]),
            "conditions": {
                name: [_points(m["target"]["conditions"][name]["miou"]) for m in by_seed]
                for name, first in (by_seed[0]["target"]["conditions"] or {}).items()
                if first["miou"] is not None
            },
            "per_class": {
                c.name: _mean([_points((m["target"]["per_class"] or {}).get(c.name)) for m in by_seed])
                for c in CLASSES
            },
            "confidence": [_points(m["target"]["mean_confidence"]) for m in by_seed],
            "teacher_agreement": [_points(f.get("teacher_agreement")) for f in free],
            "masked_consistency": [_points(f.get("masked_consistency")) for f in free],
            "class_shares": {c.name: _mean([_points(s.get(c.name)) for s in shares]) for c in CLASSES},
        }
    return out


def _gain(
    after: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]], domain: str
) -> list[float] | None:
    """Points by seed; None where a domain has no labels."""
    pairs = [(a[domain]["miou"], b[domain]["miou"]) for a, b in zip(after, before, strict=True)]
    return None if any(None in pair for pair in pairs) else [100 * (a - b) for a, b in pairs]


def _gap_closed(
    lowest: Sequence[dict[str, Any]] | None,
    by_seed: Sequence[dict[str, Any]],
    highest: Sequence[dict[str, Any]] | None,
) -> float | None:
    """Share of the mean gap; None without both ends."""
    if lowest is None or highest is None:
        return None
    gap, part = (_gain(row, lowest, "target") for row in (highest, by_seed))
    return None if gap is None or part is None or mean(gap) <= 0 else mean(part) / mean(gap)


def interval(differences: Sequence[float] | None) -> tuple[float, float] | None:
    """95 % interval of the mean of paired differences, Student's t; None for fewer than two."""
    if differences is None or len(differences) < 2:
        return None
    reach = (
        float(student_t.ppf(0.975, len(differences) - 1)) * stdev(differences) / math.sqrt(len(differences))
    )
    return mean(differences) - reach, mean(differences) + reach


def _points(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return mean(known) if known else None


def spread(values: Sequence[float | None] | None) -> str:
    """`mean ± standard deviation`, or a dash where nothing is known."""
    known = [v for v in values or [] if v is not None]
    if not known:
        return "-"
    return f"{mean(known):.1f}" + (f" ± {stdev(known):.1f}" if len(known) > 1 else "")


def _with_interval(differences: Sequence[float] | None, ends: Sequence[float] | None) -> str:
    """`mean [low, high]`, signed; the mean alone for one seed."""
    if not differences:
        return ""
    return f"{mean(differences):+.1f}" + (f" [{ends[0]:+.1f}, {ends[1]:+.1f}]" if ends else "")


def print_tables(result: dict[str, Any], title: str) -> None:
    """Scores by row, what shows without labels, then target IoU by class."""
    console = Console(width=190)
    rows = result["rows"]
    labelled = any(v is not None for row in rows.values() for v in row["target"])
    if labelled:
        console.print(_scores(result, title))
    without = Table(title="without labels: agreement, consistency and confidence on the target")
    shares = [] if labelled else ["sky", "road"]
    free = ("teacher_agreement", "masked_consistency", "confidence")
    _columns(
        without, "row", "teacher agrees %", "same when masked %", "confidence %", *(f"{c} %" for c in shares)
    )
    for name, row in rows.items():
        without.add_row(
            name, *(spread(row[k]) for k in free), *(spread([row["class_shares"][c]]) for c in shares)
        )
    console.print(without)
    names = [c.name for c in CLASSES if any(r["per_class"][c.name] is not None for r in rows.values())]
    if names:
        classes = Table(title="target val: IoU by class, mean over seeds")
        _columns(classes, "row", *names)
        for name, row in rows.items():
            classes.add_row(name, *(f"{row['per_class'][c] or 0:.0f}" for c in names))
        console.print(classes)


def _scores(result: dict[str, Any], title: str) -> Table:
    """mIoU of source and target with their gains, and what a step costs."""
    rows = result["rows"]
    lead = f"; fewer than {ENOUGH} seeds are a lead, not a result" if len(result["seeds"]) < ENOUGH else ""
    table = Table(
        title=f"{title}: mIoU in points, seeds {result['seeds']}, mean ± standard deviation, gains paired by seed with "
        f"their 95 % interval{lead}"
    )
    conditions = list(next(iter(rows.values()))["conditions"])
    bounded = any(row["gap_closed"] is not None for row in rows.values())
    closed = ["gap closed %"] if bounded else []
    scored = ("source val", "target val", *conditions, "gain", "against", "by seed", "source gain", *closed)
    _columns(table, "row", *scored, "s/step", "GiB")
    for name, row in rows.items():
        cells = [spread(row["source"]), spread(row["target"])]
        cells += [spread(row["conditions"].get(c)) for c in conditions]
        cells += [_with_interval(row["gain"], row["gain_ci95"]), row["against"] or ""]
        cells += [" ".join(f"{g:+.1f}" for g in row["gain"] or [])]
        cells += [_with_interval(row["source_gain"], row["source_gain_ci95"])]
        share = row["gap_closed"]
        cells += ["-" if share is None else f"{100 * share:.0f}" for _ in closed]
        cells += ["-" if row[k] is None else f"{row[k]:.2f}" for k in ("seconds_per_step", "memory_gib")]
        table.add_row(name, *cells)
    for column in table.columns:  # the seeds' list alone may take lines of its own
        column.no_wrap = column.header not in ("row", "against", "by seed")
    return table


def _columns(table: Table, *headers: str) -> None:
    for header in headers:
        table.add_column(header, justify="left" if header in ("row", "against") else "right")


def write_picture(path: Path, result: dict[str, Any]) -> None:
    """A line a row: every seed as a dot, the mean as a bar; target mIoU, or masked consistency without labels."""
    rows = result["rows"]
    labelled = any(v is not None for row in rows.values() for v in row["target"])
    key, axis = ("target", "target val, mIoU in points") if labelled else (
        "masked_consistency",
        "pixels that keep their class when hidden, %",
    )  # fmt: skip
    figure, ax = plt.subplots(figsize=(8, 0.9 + 0.36 * len(rows)), layout="constrained")
    for place, row in enumerate(rows.values()):
        known = [v for v in row[key] if v is not None]
        if known:
            ax.barh(place, mean(known), color="#b9cfe4", height=0.7)
            ax.plot(known, [place] * len(known), "o", color="#1f4e79", markersize=4)
            ax.text(max(known) + 0.5, place, f"{mean(known):.1f}", va="center", fontsize=8)
    ax.set_yticks(range(len(rows)), list(rows), fontsize=8)
    ax.invert_yaxis()
    ax.margins(x=0.08)
    ax.set_xlabel(axis)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(
        f"{result['steps']} steps, seeds {result['seeds']}: dots are seeds, bars their mean", fontsize=9
    )
    beside = io.BytesIO()
    figure.savefig(beside, format="png", dpi=130)
    plt.close(figure)
    write_bytes(path, beside.getvalue())
