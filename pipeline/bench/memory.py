"""Peak memory, each measured in a process of its own: `python -m pipeline.bench.memory KIND COUNT` prints MiB.

Kinds: `step` and `passes` (COUNT training steps of MIC, or the passes they cannot avoid), `evaluate` and `edge` (COUNT
pictures through the evaluation, or through mic-edge). Imports are not counted.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import torch

from pipeline import train
from pipeline.bench.inference import edge_jobs, edge_model, save_results
from pipeline.bench.row import Row
from pipeline.bench.training import first_step, unavoidable_passes
from pipeline.data.index import read_index
from pipeline.edge.runtime import Segmenter
from pipeline.evaluate import target_pictures, trained_network
from pipeline.evaluation.scoring import score_pictures
from pipeline.params import Params, load_params
from pipeline.stage import stage_arguments
from pipeline.training.monitor import memory_gib
from pipeline.training.step import train_step
from pipeline.workspace import Workspace

STEPS = 3
FEW, MANY = 8, 40  # pictures


def rows(params_file: Path) -> list[Row]:
    """Training's memory against that of its passes; evaluation's and mic-edge's with five times the pictures."""
    step, passes = (_peak_of(kind, STEPS, params_file) for kind in ("step", "passes"))
    found = [
        Row(
            "training_memory",
            step / passes,
            1.10,
            f"MIC step {step:.0f} MiB, its passes and optimiser alone {passes:.0f} MiB",
        )
    ]
    for kind in ("evaluate", "edge"):
        few, many = (_peak_of(kind, count, params_file) for count in (FEW, MANY))
        detail = f"{FEW} pictures {few:.0f} MiB, {MANY} pictures {many:.0f} MiB"
        found.append(Row(f"memory_{kind}", many / few, 1.10, detail))
    return found


def _peak_of(kind: str, count: int, params_file: Path) -> float:
    command = [sys.executable, "-m", "pipeline.bench.memory", kind, str(count), "--params", str(params_file)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return float(answer.stdout.splitlines()[-1])


def peak_mib(kind: str, count: int, params: Params, workspace: Workspace) -> float:
    """Peak memory of COUNT times the work, above what this process had taken before; MiB."""
    before = 0.0 if torch.cuda.is_available() else peak_of_process()
    if kind in ("step", "passes"):
        setup, first = train.set_up(params, workspace, "mic"), first_step(params)
        for step in range(first, first + count):
            batch = setup.batches[step]
            if kind == "step":
                train_step(setup, batch, step, params)
            else:
                unavoidable_passes(setup, batch, step)
    elif kind == "evaluate":
        method = params.methods[-1]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = trained_network(params, workspace.weights(method), method, device)
        pictures = target_pictures(read_index(workspace.index("target")))
        score_pictures(network, list(islice(cycle(pictures), count)), params, device, kind)
    else:
        model = Segmenter(edge_model(params, workspace))
        with tempfile.TemporaryDirectory() as out:
            save_results(edge_jobs(params, workspace, count, Path(out)), model)
    return 1024 * memory_gib() if torch.cuda.is_available() else peak_of_process() - before


def peak_of_process() -> float:
    """Peak memory of this process so far, MiB. Linux' ru_maxrss would begin with what the parent had."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 1024 * memory_gib()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024  # type: ignore[index]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the peak of one kind of work."""
    parser = stage_arguments(__doc__ or "", with_method=False)
    parser.add_argument("kind", choices=("step", "passes", "evaluate", "edge"))
    parser.add_argument("count", type=int)
    args = parser.parse_args(argv)
    print(peak_mib(args.kind, args.count, load_params(args.params), Workspace()))


if __name__ == "__main__":
    main()
