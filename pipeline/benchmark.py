"""Stage `benchmark`: how long one method's files take on this machine, the network alone and from file to classes.

`python -m pipeline.benchmark --method mic` writes metrics/latency_mic.json: models/mic.onnx and its variants, in
turn, on every provider that runs here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.data.index import Record, of_split, read_index
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import UserError
from pipeline.edge.providers import cores
from pipeline.edge.runtime import Segmenter
from pipeline.onnx.variants.latency import PROVIDERS, in_turn, network_ms, p50, p90, sessions
from pipeline.params import Params, load_params
from pipeline.run.files import read_json, write_json
from pipeline.run.lock import alone
from pipeline.run.machine import machine
from pipeline.run.stage import main_guard, stage_arguments
from pipeline.run.workspace import Workspace


def run(params: Params, workspace: Workspace, method: str) -> dict[str, Any]:
    """Time every file of a method; returns the content of metrics/latency_<method>.json.

    Raises:
        UserError: the table of variants or one of its files is missing.
    """
    paths = files(workspace, method)
    record = of_split(read_index(workspace.index("target")), "train")[0]
    found = [row for provider in PROVIDERS for row in timed(paths, record, provider)]
    report = {"image": [record.height, record.width], "date": date.today().isoformat(), "files": found}
    write_json(workspace.latency(method), report)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for row in found:
        console.print(
            f"{row['file']} ({row['provider']}, {row['threads']} threads): network {row['network_p50_ms']} ms, "
            f"from file to classes {row['end_to_end_p50_ms']} ms"
        )
    return report


def files(workspace: Workspace, method: str) -> dict[str, Path]:
    """File name -> path of the fp32 file and the variants that `quantize` has written."""
    folder = workspace.onnx(method).parent
    rows = variants(workspace, method)
    paths = {row["file"]: folder / row["file"] for row in rows if row["p50_ms"] is not None}
    if missing := next((path for path in paths.values() if not path.exists()), None):
        raise UserError(
            f"{missing} does not exist: run `python -m pipeline.quantize --method {method}` again"
        )
    return paths


def variants(workspace: Workspace, method: str) -> list[dict[str, Any]]:
    """The rows of metrics/variants_<method>.json."""
    made_by = f"python -m pipeline.quantize --method {method}"
    return read_json(workspace.variants(method), made_by)["variants"]


def timed(paths: dict[str, Path], record: Record, provider: str) -> list[dict[str, Any]]:
    """A row for each file; none where the provider does not run here."""
    models = sessions(paths, provider, cores())
    image = read_picture(record.image)
    network = in_turn({name: partial(network_ms, model, image) for name, model in models.items()})
    whole = in_turn({name: partial(end_to_end_ms, model, record) for name, model in models.items()})
    return [
        {
            "file": name,
            "provider": provider,
            "threads": cores(),
            "machine": machine(provider),
            "network_p50_ms": p50(network[name]),
            "network_p90_ms": p90(network[name]),
            "end_to_end_p50_ms": p50(whole[name]),
            "end_to_end_p90_ms": p90(whole[name]),
        }
        for name in models
    ]


def end_to_end_ms(model: Segmenter, record: Record) -> float:
    """Milliseconds from the picture's file to classes at its own size."""
    started = time.perf_counter()
    model.segment(read_picture(record.image))
    return 1000 * (time.perf_counter() - started)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.benchmark --method M [--params FILE]`."""
    args = stage_arguments("Time one method's .onnx files on this machine.", with_method=True).parse_args(
        argv
    )
    with alone(Workspace(), f"benchmark {args.method}"):
        run(load_params(args.params), Workspace(), args.method)
    return 0


if __name__ == "__main__":
    main_guard(main)
