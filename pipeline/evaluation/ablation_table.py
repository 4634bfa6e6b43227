"""The table and the picture of an ablation: rows over seeds, mean ± standard deviation, gain against a row."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

from pipeline.edge.classes import CLASSES
from pipeline.evaluation.files import write_bytes

Scores = Mapping[str, Sequence[dict[str, Any]]]
"""row -> the metrics of each seed."""


def summary(scores: Scores, seeds: Sequence[int], against: Mapping[str, str]) -> dict[str, Any]:
    """Points (0..100) of every row: source and target mIoU by seed, gain seed by seed, classes, label-free shares.

    `against`: row -> the row its gain is measured against; a row has no gain against itself or a row not run.
    """
    out: dict[str, Any] = {"seeds": list(seeds), "rows": {}}
    for row, by_seed in scores.items():
        target = [_points(m["target"]["miou"]) for m in by_seed]
        base = against[row] if against[row] in scores and against[row] != row else None
        gain = None
        if base is not None and None not in target:
            gain = [t - _points(b["target"]["miou"]) for t, b in zip(target, scores[base], strict=True)]  # type: ignore[operator]
        free = [m["target"].get("label_free") or {} for m in by_seed]
        shares = [m["target"]["class_shares"] or {} for m in by_seed]
        out["rows"][row] = {
            "against": base,
            "source": [_points(m["source"]["miou"]) for m in by_seed],
            "target": target,
            "gain": gain,
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


def print_tables(result: dict[str, Any], title: str) -> None:
    """Scores by row, then target IoU by class; without target labels the label-free shares instead."""
    console = Console(width=160)
    rows = result["rows"]
    labelled = any(v is not None for row in rows.values() for v in row["target"])
    conditions = list(next(iter(rows.values()))["conditions"])
    table = Table(title=f"{title}: mIoU in points, seeds {result['seeds']}, mean ± standard deviation")
    scored = ["target val", *conditions, "gain", "by seed", "against"] if labelled else []
    free = ["teacher agrees %", "same when masked %", "confidence %"]
    for column in ("row", "source val", *scored, *free, *([] if labelled else ["sky %", "road %"])):
        table.add_column(column, justify="left" if column in ("row", "against") else "right")
    for name, row in rows.items():
        cells = [name, spread(row["source"])]
        if labelled:
            by_seed = " ".join(f"{g:+.1f}" for g in row["gain"] or [])
            parts = [spread(row["conditions"].get(c)) for c in conditions]
            cells += [spread(row["target"]), *parts, spread(row["gain"]), by_seed, row["against"] or ""]
        cells += [spread(row[k]) for k in ("teacher_agreement", "masked_consistency", "confidence")]
        if not labelled:
            cells += [spread([row["class_shares"][c]]) for c in ("sky", "road")]
        table.add_row(*cells)
    console.print(table)
    names = [c.name for c in CLASSES if any(r["per_class"][c.name] is not None for r in rows.values())]
    if names:
        classes = Table(title="target val: IoU by class, mean over seeds")
        for column in ("row", *names):
            classes.add_column(column, justify="left" if column == "row" else "right")
        for name, row in rows.items():
            classes.add_row(name, *(f"{row['per_class'][c] or 0:.0f}" for c in names))
        console.print(classes)


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
