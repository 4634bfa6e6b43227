"""Every model of a workspace at one input size: accuracy, bytes, and time against torch and OpenVINO, in one run.

`python -m pipeline.bench.models [--params FILE] [--size 512x1024]` prints the table and writes metrics/models.json, for
a workspace whose pipeline has run. All files and runtimes take turns on the same picture, so that what else the machine
does slows them alike. `pictures/s` is what `mic-edge predict` does with JPEG files of that size, its results saved.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from pipeline.bench.edge import Watched, save_pictures
from pipeline.bench.inference import torch_eager
from pipeline.bench.row import seconds
from pipeline.bench.stress_inputs import sized
from pipeline.benchmark import variants
from pipeline.data.index import read_index
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import UserError
from pipeline.edge.images import resize_image
from pipeline.edge.openvino_backend import load_openvino
from pipeline.edge.providers import cores
from pipeline.edge.runtime import Prepared, Segmenter
from pipeline.edge.sources import Source
from pipeline.evaluate import target_pictures
from pipeline.onnx.variants.latency import in_turn, p50
from pipeline.params import Params, load_params
from pipeline.run.files import write_json
from pipeline.run.machine import machine
from pipeline.run.stage import main_guard, stage_arguments
from pipeline.run.workspace import Workspace

PICTURES = 40  # that mic-edge is timed on
ROUNDS = 3  # of all files' pictures
FEWEST = 10  # runs of each network
TORCH, OURS, OUR_OPENVINO, THEIRS = "torch eager", "onnxruntime", "OpenVINO", "OpenVINO's default"
COLUMNS = (TORCH, OURS, OUR_OPENVINO, THEIRS)

Size = tuple[int, int]


def run(params: Params, workspace: Workspace, size: Size) -> dict[str, Any]:
    """Time and write the table; returns the content of metrics/models.json.

    Raises:
        UserError: a method's table of variants is missing, or pictures of `size` do not fit a model.
    """
    rows = {row["file"]: row for method in params.trained for row in on_cpu(workspace, method)}
    image = resize_image(read_picture(target_pictures(read_index(workspace.index("target")))[0].image), size)
    runs: dict[str, Callable[[], float]] = {}
    for name, row in rows.items():
        runs |= {f"{name} {runner}": work for runner, work in runners(params, workspace, row, image).items()}
    times = in_turn(runs, FEWEST)
    speeds = pictures_a_second({name: workspace.root / "models" / name for name in rows}, image)
    table = [
        {key: row[key] for key in ("file", "precision", "megabytes", "target_miou", "agreement")}
        | {"p50_ms": {c: p50(times[f"{name} {c}"]) for c in COLUMNS if f"{name} {c}" in times}}
        | {"pictures_a_second": round(speeds[name], 1)}
        for name, row in rows.items()
    ]
    report = {
        "size": list(size),
        "machine": machine("cpu"),
        "threads": cores(),
        "date": date.today().isoformat(),
        "files": table,
    }
    write_json(workspace.models, report)
    return report


def on_cpu(workspace: Workspace, method: str) -> list[dict[str, Any]]:
    """The method's files of any input size that run on the CPU: their rows of metrics/variants_<method>.json."""
    return [
        row | {"method": method}
        for row in variants(workspace, method)
        if row["provider"] == "cpu" and row["precision"] in ("fp32", "int8")
    ]


def runners(
    params: Params, workspace: Workspace, row: dict[str, Any], image: np.ndarray
) -> dict[str, Callable[[], float]]:
    """Runtime -> milliseconds of the network alone on `image`, uint8 (H, W, 3); torch for fp32 files only."""
    path, pixels = workspace.root / "models" / row["file"], image[None]
    prepared = Prepared(pixels, image.shape[:2], image.shape[:2], 0.0)
    ours, openvino = Segmenter(path), Segmenter(path, "openvino", precision="auto")
    if any(side % ours.manifest.stride for side in image.shape[:2]):
        raise UserError(
            f"{path}: {image.shape[0]}x{image.shape[1]} is no multiple of its stride: choose another --size"
        )
    default = load_openvino().Core().compile_model(path, "CPU").create_infer_request()
    found = {
        OURS: lambda: ours.run(prepared).milliseconds,
        OUR_OPENVINO: lambda: openvino.run(prepared).milliseconds,
        THEIRS: lambda: 1000 * seconds(lambda: default.infer({"image": pixels})),
    }
    if row["precision"] == "fp32":
        eager = torch_eager(params, workspace, row["method"], pixels)
        found[TORCH] = lambda: 1000 * eager()
    return found


def pictures_a_second(paths: Mapping[str, Path], image: np.ndarray) -> dict[str, float]:
    """File name -> pictures a second from JPEG files to saved results, at the size of `image`; the best of rounds."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.jpg"
        Image.fromarray(image).save(file, quality=92)
        models = {name: at_size(Watched(path), image.shape[:2]) for name, path in paths.items()}
        for _ in range(ROUNDS):
            for name, model in models.items():
                jobs = [Source("picture", file, Path(folder) / f"{name}_{i}") for i in range(PICTURES)]
                taken = seconds(partial(save_pictures, jobs, model))
                found[name] = max(found.get(name, 0.0), PICTURES / taken)
    return found


def at_size(model: Watched, size: tuple[int, ...]) -> Watched:
    """The model as if it had been trained at `size`, so that pictures of that size are not made smaller."""
    model.manifest = sized(model.manifest, (size[0], size[1]))
    return model


def shown(report: dict[str, Any]) -> Table:
    """The report as a table."""
    size = "x".join(map(str, report["size"]))
    table = Table(title=f"{size}, {report['machine']}, {report['date']}; network p50 in ms")
    for column in ("file", "target mIoU", "MB", *COLUMNS, "pictures/s"):
        table.add_column(column, justify="left" if column == "file" else "right")
    for row in report["files"]:
        miou = "-" if row["target_miou"] is None else f"{100 * row['target_miou']:.1f}"
        times = [f"{row['p50_ms'][c]:.0f}" if c in row["p50_ms"] else "-" for c in COLUMNS]
        speed = f"{row['pictures_a_second']:.1f}"
        table.add_row(row["file"], miou, f"{row['megabytes']:.1f}", *times, speed)
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.bench.models [--params FILE] [--size HxW]`."""
    parser = stage_arguments("Time every .onnx file of the workspace at one size.", with_method=False)
    parser.add_argument("--size", default="512x1024", help="height x width of the input")
    args = parser.parse_args(argv)
    if not re.fullmatch(r"\d+x\d+", args.size):
        raise UserError(f"--size {args.size}: write height x width, such as 512x1024")
    height, width = map(int, args.size.split("x"))
    report = run(load_params(args.params), Workspace(), (height, width))
    Console(width=None if sys.stdout.isatty() else 120).print(shown(report))  # whole file names in a log
    return 0


if __name__ == "__main__":
    main_guard(main)
