"""The data report: what prepare found, as numbers for metrics/data.json and as printed tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.data.index import Record
from pipeline.edge.classes import CLASSES


def data_report(
    source: list[Record], target: list[Record], min_class_share: float, scored_classes: Sequence[int]
) -> dict[str, Any]:
    """Numbers of both domains and the warnings that follow from them.

    Shares (0..1) are of the pixels of a split, class shares of its labelled pixels; None without labels.
    """
    report: dict[str, Any] = {"source": _domain(source), "target": _domain(target)}
    report["grey_gap"] = round(report["source"]["grey"]["mean"] - report["target"]["grey"]["mean"], 1)
    report["warnings"] = _class_warnings(report, min_class_share, scored_classes)
    return report


def _domain(records: list[Record]) -> dict[str, Any]:
    greys = [r.grey for r in records]
    splits = {s: [r for r in records if r.split == s] for s in ("train", "val")}
    return {
        "pictures": len(records),
        "grey": {
            "mean": round(float(np.mean(greys)), 1),
            "darkest": round(min(greys), 1),
            "brightest": round(max(greys), 1),
        },
        "splits": {split: _split(members) for split, members in splits.items() if members},
    }


def _split(records: list[Record]) -> dict[str, Any]:
    labelled = [r for r in records if r.pixels is not None]
    row: dict[str, Any] = {
        "pictures": len(records),
        "labelled": len(labelled),
        "conditions": dict(sorted(Counter(r.condition for r in records).items())),
        "sizes": {f"{w}x{h}": n for (w, h), n in Counter((r.width, r.height) for r in records).most_common()},
    }
    if not labelled:
        return row | {"ignored_share": None, "class_shares": None, "class_pictures": None}
    pixels = np.array([r.pixels for r in labelled], np.int64)  # (pictures, 19)
    known = int(pixels.sum())
    return row | {
        "ignored_share": round(1 - known / sum(r.height * r.width for r in labelled), 5),
        "class_shares": {c.name: round(int(pixels[:, c.id].sum()) / max(known, 1), 6) for c in CLASSES},
        "class_pictures": {c.name: int((pixels[:, c.id] > 0).sum()) for c in CLASSES},
    }


def _class_warnings(
    report: dict[str, Any], min_class_share: float, scored_classes: Sequence[int]
) -> list[str]:
    train = report["source"]["splits"]["train"]["class_shares"]
    scored = {CLASSES[i].name for i in scored_classes}
    absent = [name for name, share in train.items() if share == 0]
    rare = [f"{name} ({share:.3%})" for name, share in train.items() if 0 < share < min_class_share]
    warnings = []
    if absent:
        warnings.append(
            f"no pixel in the source training labels, so they are never learned: {', '.join(absent)}"
        )
    if rare:
        warnings.append(f"hardly any pixel in the source training labels: {', '.join(rare)}")
    val = report["target"]["splits"].get("val")
    if val and val["class_shares"]:
        unseen = [n for n, share in val["class_shares"].items() if share > 0 and n in absent and n in scored]
        if unseen:
            warnings.append(
                f"in the target val labels but never in the source, so their score is 0: {', '.join(unseen)}"
            )
    for domain in ("source", "target"):
        if "val" not in report[domain]["splits"]:
            warnings.append(f"the {domain} has no val split, so it gets no score")
        elif not report[domain]["splits"]["val"]["labelled"]:
            warnings.append(f"the {domain} val pictures have no labels, so they get no score")
    return warnings


def print_report(report: dict[str, Any], console: Console) -> None:
    """Two tables (pictures, class shares), the grey levels and the warnings."""
    pictures = Table(
        "domain",
        "split",
        "pictures",
        "labelled",
        "conditions",
        "sizes",
        title="Pictures",
        title_justify="left",
    )
    for domain in ("source", "target"):
        for split, row in report[domain]["splits"].items():
            conditions = ", ".join(escape(f"{name} {n}") for name, n in row["conditions"].items())
            sizes = ", ".join(list(row["sizes"])[:3]) + (
                f" and {len(row['sizes']) - 3} more" if len(row["sizes"]) > 3 else ""
            )
            pictures.add_row(domain, split, str(row["pictures"]), str(row["labelled"]), conditions, sizes)
    console.print(pictures)
    console.print(_class_table(report))
    for domain in ("source", "target"):
        grey = report[domain]["grey"]
        console.print(
            f"mean grey level of the {domain}: {grey['mean']} of 255 "
            f"(from {grey['darkest']} to {grey['brightest']})",
            highlight=False,
        )
    for warning in report["warnings"]:
        console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)


def _class_table(report: dict[str, Any]) -> Table:
    columns = [
        (f"{domain} {split}", row)
        for domain in ("source", "target")
        for split, row in report[domain]["splits"].items()
        if row["class_shares"]
    ]
    table = Table("class", title="Share of labelled pixels (pictures)", title_justify="left")
    for name, _ in columns:
        table.add_column(name, justify="right")
    for c in CLASSES:
        cells = [f"{row['class_shares'][c.name]:.2%} ({row['class_pictures'][c.name]})" for _, row in columns]
        if any(row["class_pictures"][c.name] for _, row in columns):
            table.add_row(c.name, *cells)
    table.add_section()
    table.add_row("ignored, of all", *[f"{row['ignored_share']:.2%}" for _, row in columns])
    return table
