"""Peak memory, each measured in a process of its own: `python -m pipeline.bench.memory KIND COUNT` prints MiB.

Kinds: `step` and `passes` (COUNT training steps of MIC, or the passes they cannot avoid), `evaluate` and `edge` (COUNT
pictures through the evaluation, or through mic-edge), `edge_video` (COUNT frames through mic-edge). Imports are not
counted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import torch

from pipeline import train
from pipeline.bench.clip import NIGHT_MODEL, draw_clip
from pipeline.bench.edge import CLIP_RATE, CLIP_SIZE, Watched, edge_jobs, save_pictures, save_video
from pipeline.bench.row import Row
from pipeline.bench.training import number_of_passes, unavoidable_passes
from pipeline.data.index import read_index
from pipeline.edge.sources import Source
from pipeline.evaluate import target_pictures, trained_network
from pipeline.evaluation.scoring import score_pictures
from pipeline.params import Params, load_params
from pipeline.run.machine import keep_freed_memory, peak_mib
from pipeline.run.stage import stage_arguments
from pipeline.run.workspace import Workspace
from pipeline.training.monitor import memory_gib
from pipeline.training.step import train_step

STEPS = 3
# Few are as many as fill what works at once: until then memory grows by what lies between the threads.
MANY = {"evaluate": (8, 40, "pictures"), "edge": (40, 200, "pictures"), "edge_video": (60, 600, "frames")}
KINDS = ("step", "passes", *MANY)


def rows(params_file: Path) -> list[Row]:
    """Training's memory against that of its passes; that of evaluation and mic-edge with few and many inputs."""
    step, passes = (peak_mib_of(kind, STEPS, params_file) for kind in ("step", "passes"))
    found = [
        Row(
            "training_memory",
            step / passes,
            1.10,
            f"MIC step {step:.0f} MiB, its passes and optimiser alone {passes:.0f} MiB",
        )
    ]
    for kind, (few_count, many_count, what) in MANY.items():
        few, many = (peak_mib_of(kind, count, params_file) for count in (few_count, many_count))
        detail = f"{few_count} {what} {few:.0f} MiB, {many_count} {what} {many:.0f} MiB"
        found.append(Row(f"memory_{kind}", many / few, 1.10, detail))
    return found


def peak_mib_of(kind: str, count: int, params_file: Path) -> float:
    """`peak_above` in a process of its own."""
    command = [sys.executable, "-m", "pipeline.bench.memory", kind, str(count), "--params", str(params_file)]
    with tempfile.TemporaryDirectory() as folder:
        if kind == "edge_video":  # drawn here, for drawing takes memory, too
            clip = draw_clip(Path(folder) / "clip.mp4", count, CLIP_SIZE, CLIP_RATE)
            command += ["--video", str(clip)]
        answer = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    return float(answer.stdout.splitlines()[-1])


def peak_above(kind: str, count: int, params: Params, workspace: Workspace, video: Path | None) -> float:
    """Peak memory of COUNT times the work, above what this process had taken before; MiB.

    On a machine with CUDA training and evaluation are measured there, mic-edge always in the process.
    """
    cuda = torch.cuda.is_available() and not kind.startswith("edge")
    before = 0.0 if cuda else _peak_of_process()
    if kind in ("step", "passes"):
        setup, first = train.set_up(params, workspace, "mic"), params.train.first_full_step
        for step in range(first, first + count):
            batch = setup.batches[step]
            if kind == "step":
                train_step(setup, batch, step, params)
            else:
                unavoidable_passes(setup, batch, number_of_passes(setup, batch, step))
    elif kind == "evaluate":
        keep_freed_memory()
        method = params.methods[-1]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = trained_network(params, workspace.shipped(method, params.ship), method, device)
        pictures = target_pictures(read_index(workspace.index("target")))
        score_pictures(network, list(islice(cycle(pictures), count)), params, device, kind)
    else:
        model = Watched(NIGHT_MODEL)
        with tempfile.TemporaryDirectory() as folder:
            if video is None:
                save_pictures(edge_jobs(count, Path(folder)), model)
            else:
                save_video(Source("video", video, Path(folder) / "video"), model)
    return 1024 * memory_gib() if cuda else _peak_of_process() - before


def _peak_of_process() -> float:
    return peak_mib() or 1024 * memory_gib()


def main(argv: Sequence[str] | None = None) -> None:
    """Print the peak of one kind of work."""
    parser = stage_arguments(__doc__ or "", with_method=False)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("count", type=int)
    parser.add_argument("--video", type=Path, help="for edge_video: a video of COUNT frames")
    args = parser.parse_args(argv)
    print(peak_above(args.kind, args.count, load_params(args.params), Workspace(), args.video))


if __name__ == "__main__":
    main()
