"""The same experiment over several seeds: mean, spread and gain, since one seed proves nothing.

`python -m pipeline.seeds --params params.yaml --seeds 0 1 2 --methods source_only self_training mic --jobs 2`
trains each method and seed in runs/<params file>/seed<k>/ (an interrupted run continues), prints one table and writes
metrics/seeds_<params file>.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import platform
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline import evaluate, prepare, train
from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import UserError
from pipeline.params import METHODS, Params, load_params
from pipeline.stage import main_guard
from pipeline.workspace import Workspace

Scores = dict[str, list[dict[str, Any]]]
"""method -> the metrics of each seed."""


def run(params: Params, name: str, seeds: Sequence[int], methods: Sequence[str], jobs: int) -> Scores:
    """Train and evaluate every method with every seed; returns their metrics."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    shared_threads = params.train.model_copy(update={"threads": threads}) if jobs > 1 else params.train
    workspaces = {seed: Workspace(Path("runs") / name / f"seed{seed}") for seed in seeds}
    seeded = {seed: params.model_copy(update={"seed": seed, "train": shared_threads}) for seed in seeds}
    for seed in seeds:
        prepare.run(seeded[seed], workspaces[seed])
    pairs = [(seed, method) for method in methods for seed in seeds]
    # Spawned, because torch's threads do not survive a fork.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = {(s, m): pool.submit(_train_and_evaluate, seeded[s], workspaces[s], m) for s, m in pairs}
        for (seed, method), future in futures.items():
            if future.result() != 0:
                raise UserError(f"{method}, seed {seed}, was stopped: the same command continues it")
    return {m: [json.loads(workspaces[s].metrics(m).read_text()) for s in seeds] for m in methods}


def _train_and_evaluate(params: Params, workspace: Workspace, method: str) -> int:
    code = train.run(params, workspace, method)
    if code == 0:
        evaluate.run(params, workspace, method)
    return code


def summary(scores: Scores, seeds: Sequence[int]) -> dict[str, Any]:
    """Points of mIoU (0..100) by method, and the gain over source_only seed by seed."""

    def points(metrics: dict[str, Any], domain: str) -> float | None:
        miou = metrics[domain]["miou"]
        return None if miou is None else 100 * miou

    out: dict[str, Any] = {"seeds": list(seeds), "methods": {}}
    baseline = scores.get("source_only")
    for method, by_seed in scores.items():
        source = [points(m, "source") for m in by_seed]
        target = [points(m, "target") for m in by_seed]
        row: dict[str, Any] = {
            "source": source,
            "target": target,
            "gain": None,
            "per_class": {},
            "conditions": {},
        }
        if baseline is not None and method != "source_only" and None not in target:
            row["gain"] = [t - points(b, "target") for t, b in zip(target, baseline, strict=True)]  # type: ignore[operator]
        for c in CLASSES:
            ious = [m["target"]["per_class"].get(c.name) for m in by_seed if m["target"]["per_class"]]
            known = [float(iou) for iou in ious if iou is not None]
            row["per_class"][c.name] = 100 * mean(known) if known else None
        for condition, first in (by_seed[0]["target"]["conditions"] or {}).items():
            if first["miou"] is not None:
                row["conditions"][condition] = [
                    100 * m["target"]["conditions"][condition]["miou"] for m in by_seed
                ]
        out["methods"][method] = row
    return out


def spread(values: Sequence[float | None] | None) -> str:
    """`mean +- standard deviation`, or a dash where there are no labels."""
    known = [v for v in values or [] if v is not None]
    if not known:
        return "-"
    return f"{mean(known):.1f}" + (f" ± {stdev(known):.1f}" if len(known) > 1 else "")


def print_table(result: dict[str, Any], title: str) -> None:
    """The scores by method, then target IoU by class."""
    console = Console(width=120)
    methods = result["methods"]
    conditions = list(next(iter(methods.values()))["conditions"])
    table = Table(title=f"{title}: mIoU in points, seeds {result['seeds']}, mean ± standard deviation")
    for column in ("method", "source val", "target val", *conditions, "gain on target", "gain by seed"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for method, row in methods.items():
        by_seed = " ".join(f"{g:+.1f}" for g in row["gain"] or [])
        parts = [spread(row["conditions"].get(c)) for c in conditions]
        table.add_row(
            method, spread(row["source"]), spread(row["target"]), *parts, spread(row["gain"]), by_seed
        )
    console.print(table)
    names = [c.name for c in CLASSES if any(r["per_class"][c.name] is not None for r in methods.values())]
    if names:
        classes = Table(title="target val: IoU by class, mean over seeds")
        classes.add_column("class")
        for method in methods:
            classes.add_column(method, justify="right")
        for name in names:
            classes.add_row(name, *(spread([r["per_class"][name]]) for r in methods.values()))
        console.print(classes)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.seeds [--params FILE] [--seeds ...] [--methods ...] [--jobs N]`."""
    parser = argparse.ArgumentParser(description="Run the experiment of a params file over several seeds.")
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="params file (default: params.yaml)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings at a time; each gets its share of the cores"
    )
    args = parser.parse_args(argv)
    params = load_params(args.params)
    name = args.params.stem
    result = summary(run(params, name, args.seeds, args.methods, args.jobs), args.seeds)
    result |= {
        "params": str(args.params),
        "steps": params.train.steps,
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": datetime.date.today().isoformat(),
    }
    path = Path("metrics") / f"seeds_{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print_table(result, f"{args.params}, {params.train.steps} steps")
    return 0


if __name__ == "__main__":
    main_guard(main)
