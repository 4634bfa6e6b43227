"""`python -m pipeline.bench`: measure every budget once, print the table, write metrics/bench.json.

For a workspace whose pipeline has run (`make demo SERVE=0`); about a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import torch
from rich.console import Console
from rich.table import Table

from pipeline.bench import edge, inference, memory, page, repro, training
from pipeline.bench.row import Row
from pipeline.params import load_params
from pipeline.run.files import write_json
from pipeline.run.machine import machine
from pipeline.run.stage import main_guard, stage_arguments
from pipeline.run.workspace import Workspace

HOLDS = {True: "yes", False: "NO", None: "-"}


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.bench [--params FILE]`; 0 also where a budget does not hold: it is a measurement."""
    args = stage_arguments("Measure the speed and memory budgets.", with_method=False).parse_args(argv)
    params, workspace = load_params(args.params), Workspace()
    groups: list[Callable[[], list[Row]]] = [
        repro.rows,
        edge.rows,
        page.rows,
        lambda: memory.rows(args.params),
        # These set this process's memory as their stages do; mic-edge does not.
        lambda: inference.rows(params, workspace),
        lambda: training.rows(params, workspace),
    ]
    console, found = Console(stderr=True), []
    for group in groups:
        for row in group():
            console.print(f"{row.name}: {row.as_json['detail']}", highlight=False, soft_wrap=True)
            found.append(row)
    device = machine("cuda" if torch.cuda.is_available() else "cpu")
    report = {row.name: row.as_json for row in found}
    write_json(workspace.bench, report | {"machine": device, "date": date.today().isoformat()})
    Console().print(table(found, device))
    return 0


def table(rows: Sequence[Row], device: str) -> Table:
    """Row, ratio, budget, whether it holds."""
    shown = Table("row", "ratio", "budget", "holds", title=f"budgets on {device}")
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        shown.add_row(row.name, ratio, f"{'>=' if row.at_least else '<='} {row.budget:g}", HOLDS[row.holds])
    return shown


if __name__ == "__main__":
    main_guard(main)
