"""Rows of an experiment, each over several seeds: mean, spread and gain, since one seed proves nothing.

`python -m pipeline.ablation profiles/ablations/embedded.yaml` trains every row of the grid with every seed below
runs/<grid>/ (an interrupted grid continues; the steps before `uda.start_step` are trained once for all rows that share
them), prints the table and writes metrics/ablation_<grid>.json and .png.
Without a grid, `python -m pipeline.ablation --params FILE` takes the methods that the params file lists as rows.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from pipeline import evaluate, prepare, train
from pipeline.edge.errors import UserError
from pipeline.evaluation.ablation_table import print_tables, summary, write_picture
from pipeline.networks.segmenter import build_segmenter
from pipeline.params import METHODS, Method, Params, checked, fingerprint, load_params
from pipeline.params.section import Section
from pipeline.params.yaml_file import read_yaml
from pipeline.run.files import write_json
from pipeline.run.lock import alone
from pipeline.run.machine import machine
from pipeline.run.stage import main_guard
from pipeline.run.workspace import Workspace
from pipeline.training.dry_pass import check_batch


class Row(Section):
    """One line of the table."""

    method: Method
    set: dict[str, Any] = Field(
        default_factory=dict, description="key path -> value that differs from params"
    )
    against: str | None = Field(
        default=None, description="row that gains are measured against; null: the first"
    )


class Grid(Section):
    """A grid file."""

    params: Path = Field(description="params file that every row starts from")
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    set: dict[str, Any] = Field(default_factory=dict, description="key path -> value for every row")
    rows: dict[str, Row] = Field(
        min_length=1, description="name -> what it trains, in the order of the table"
    )
    upper: str | None = Field(
        default=None,
        description="row trained on target labels: the table says how much of the gap from the first row to it each "
        "row closes",
    )


def load_grid(path: Path) -> Grid:
    """Read a grid file. Raises UserError where it is missing or wrong."""
    grid = checked(Grid, read_yaml(path, "grids are in profiles/ablations/"), path)
    named = {"upper": grid.upper} | {f"row {name}: against": row.against for name, row in grid.rows.items()}
    for key, name in named.items():
        if name is not None and name not in grid.rows:
            raise UserError(f"{path}: {key}: no row {name!r}: the rows are {', '.join(grid.rows)}")
    return grid


def run(name: str, grid: Grid, jobs: int) -> dict[str, list[dict[str, Any]]]:
    """Train and evaluate every row with every seed; returns row -> the metrics of each seed."""
    params = {row: load_params(grid.params, grid.set | r.set) for row, r in grid.rows.items()}
    for row, r in grid.rows.items():  # what the last row cannot do is said before the first is trained
        own = params[row].for_method(r.method)
        check_batch(build_segmenter(own.network, pretrained=False), own.network, own.train)
    work: dict[tuple[str, int], tuple[Params, Workspace, str]] = {}
    for row, row_params in params.items():
        for seed in grid.seeds:
            threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else row_params.train.threads
            seeded = row_params.model_copy(
                update={"seed": seed, "train": row_params.train.model_copy(update={"threads": threads})}
            )
            workspace = Workspace(Path("runs") / name / _folder(row) / f"seed{seed}")
            _share_index(seeded, Path("runs") / name, workspace)
            work[row, seed] = seeded, workspace, grid.rows[row].method
    shared = {
        key: Workspace(Path("runs") / name / "shared" / common)
        for key, (row_params, workspace, method) in work.items()
        if (common := _shared_steps(row_params, workspace, method))
    }
    # Spawned, because torch's threads do not survive a fork; one training each, whose peak memory is then its own.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        # Seed by seed, so that an early look shows every row.
        order = sorted(work, key=lambda key: grid.seeds.index(key[1]))
        users = {shared[key]: key for key in reversed(order) if key in shared}
        begun = {pool.submit(_train_shared, *work[key], begin): key for begin, key in users.items()}
        _wait(begun)
        _wait({pool.submit(_train_and_evaluate, *work[key], shared.get(key)): key for key in order})
    return {row: [_scores(*work[row, seed]) for seed in grid.seeds] for row in grid.rows}


def _scores(params: Params, workspace: Workspace, method: str) -> dict[str, Any]:
    """The metrics of one training, and what a step of it took."""
    curves = json.loads((workspace.dvclive(method) / "metrics.json").read_text())
    training = {
        "seconds_per_step": 2 * params.train.batch_size / curves["images_per_second"],
        "memory_gib": curves["memory_gib"],
    }
    return json.loads(workspace.metrics(method).read_text()) | {"training": training}


def _share_index(params: Params, folder: Path, workspace: Workspace) -> None:
    """Rows of the same data share one `prepare`."""
    shared = Workspace(folder / "data" / fingerprint(params.data)[:12])
    if not shared.index("source").exists():
        prepare.run(params, shared)
    for domain in ("source", "target"):
        workspace.index(domain).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared.index(domain), workspace.index(domain))


def _shared_steps(params: Params, workspace: Workspace, method: str) -> str | None:
    """A name for the steps before `start_step`, equal for rows that take the same; None where there are none."""
    if params.train.uda.start_step == 0:
        return None
    return train.run_fingerprint(train.before_start(params, method), workspace, "self_training")[:12]


def _wait(futures: Mapping[Future[int], tuple[str, int]]) -> None:
    for future, (row, seed) in futures.items():
        if future.result() != 0:
            raise UserError(f"{row}, seed {seed}, was stopped: the same command continues it")


def _train_shared(params: Params, workspace: Workspace, method: str, shared: Workspace) -> int:
    for domain in ("source", "target"):
        shared.index(domain).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(workspace.index(domain), shared.index(domain))
    until = params.train.uda.start_step
    return train.run(train.before_start(params, method), shared, "self_training", until=until)


def _train_and_evaluate(params: Params, workspace: Workspace, method: str, shared: Workspace | None) -> int:
    code = train.run(params, workspace, method, shared)
    if code == 0:
        evaluate.run(params, workspace, method)
    return code


def _folder(row: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", row.lower()).strip("_")


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.ablation [GRID | --params FILE] [--seeds ...] [--rows ...] [--jobs N]`."""
    parser = argparse.ArgumentParser(description="Run rows of an experiment over several seeds.")
    parser.add_argument("grid", type=Path, nargs="?", help="grid file, e.g. profiles/ablations/embedded.yaml")
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="without a grid: params file"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="without a grid: rows")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: those of the grid, or 0 1 2")
    parser.add_argument("--rows", nargs="+", help="only these rows of the grid")
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings at a time; each gets its share of the cores"
    )
    args = parser.parse_args(argv)

    if args.grid is not None:
        name, grid = args.grid.stem, load_grid(args.grid)
    else:
        methods = args.methods or load_params(args.params).methods
        name = args.params.stem
        grid = Grid(params=args.params, rows={m: Row(method=m) for m in methods})
    if args.seeds:
        grid = grid.model_copy(update={"seeds": tuple(args.seeds)})
    if args.rows:
        if unknown := [row for row in args.rows if row not in grid.rows]:
            raise UserError(f"{args.grid} has no row {unknown[0]!r}: its rows are {', '.join(grid.rows)}")
        grid = grid.model_copy(update={"rows": {row: grid.rows[row] for row in args.rows}})

    with alone(Workspace(Path("runs") / name), "ablation"):
        scores = run(name, grid, args.jobs)
    first = next(iter(grid.rows))
    against = {row: r.against or first for row, r in grid.rows.items()}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result = summary(scores, grid.seeds, against, grid.upper) | {
        "params": str(grid.params),
        "steps": load_params(grid.params, grid.set).train.steps,
        "hardware": machine(device.type),
        "date": datetime.date.today().isoformat(),
    }
    metrics = Path("metrics")
    write_json(metrics / f"ablation_{name}.json", result)
    write_picture(metrics / f"ablation_{name}.png", result)
    print_tables(result, f"{args.grid or args.params}, {result['steps']} steps")
    return 0


if __name__ == "__main__":
    main_guard(main)
