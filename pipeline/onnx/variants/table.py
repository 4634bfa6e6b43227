"""The table of one method's files: what each weighs, scores and takes here, and which one to choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.edge.providers import cores
from pipeline.onnx.variants.accuracy import Accuracy
from pipeline.onnx.variants.latency import PROVIDERS, in_turn, network_ms, p50, sessions
from pipeline.run.machine import machine

SAME = 0.1  # two times closer than this share of each other are called the same


@dataclass(frozen=True)
class File:
    """One file of the table, written or refused."""

    name: str
    """File name without .onnx."""
    precision: str
    """fp32, int8, fp16 or "fp32, fixed size"."""
    path: Path
    """Where it lies while the table is made."""
    accuracy: Accuracy
    refused: str | None = None
    """Why it is not written, in one sentence."""


def rows(files: Sequence[File], image: np.ndarray) -> list[dict[str, Any]]:
    """A row for each file, the fp32 one being first, and each provider that runs here.

    `image`, uint8 (H, W, 3), is what the networks are timed on.
    """
    first, threads, found = files[0], cores(), []
    for provider in PROVIDERS:
        models = sessions({f.name: f.path for f in files if f.refused is None}, provider, threads)
        times = in_turn({name: partial(network_ms, model, image) for name, model in models.items()})
        for file in files:
            if file.name not in times:
                continue
            median = p50(times[file.name])
            where = {"provider": provider, "threads": threads, "machine": machine(provider)}
            pace = "" if file is first else compared(median, p50(times[first.name]), first.name)
            found.append(_row(file) | {"p50_ms": median} | where | {"note": pace})
    return found + [_row(f) | {"note": f.refused} for f in files if f.refused is not None]


def _row(file: File) -> dict[str, Any]:
    """Without any time."""
    return {
        "file": f"{file.name}.onnx",
        "precision": file.precision,
        "megabytes": round(file.path.stat().st_size / 1e6, 2) if file.refused is None else None,
        "target_miou": file.accuracy.miou,
        "agreement": round(file.accuracy.agreement, 6),
        "p50_ms": None,
        "provider": None,
        "threads": None,
        "machine": None,
    }


def compared(milliseconds: float, reference: float, name: str) -> str:
    """One time against that of the file `name`, in words."""
    ratio = milliseconds / reference
    if abs(ratio - 1) < SAME:
        return f"as fast as {name} here"
    if ratio < 1:
        return f"{1 / ratio:.2f} times as fast as {name} here"
    return f"slower: takes {ratio:.2f} times as long as {name} here"


def recommended(table: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The file for a CPU and for a GPU, of those for pictures of any size, with the reason."""
    timed = [row for row in table if row["p50_ms"] is not None and "fixed" not in row["precision"]]
    on_cpu = [row for row in timed if row["provider"] == "cpu"]
    on_gpu = [row for row in timed if row["provider"] == "cuda"]
    cpu = _fastest(on_cpu)
    half = [row for row in on_cpu if row["precision"] == "fp16"]
    gpu = _fastest(on_gpu) if on_gpu else (half or on_cpu)[0]
    reason = f"CPU: {_why(cpu, on_cpu)}; GPU: "
    if on_gpu:
        reason += _why(gpu, on_gpu)
    elif half:
        reason += f"half the bytes, {100 * gpu['agreement']:.2f} % of the classes as in fp32; no GPU here to time it"
    else:
        reason += "no fp16 file"
    return {"cpu": _stem(cpu), "gpu": _stem(gpu), "reason": reason}


def _fastest(timed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """fp32 (the first) unless another is faster by more than noise."""
    best = min(timed, key=lambda row: row["p50_ms"])
    return best if best["p50_ms"] < (1 - SAME) * timed[0]["p50_ms"] else timed[0]


def _why(row: dict[str, Any], timed: Sequence[dict[str, Any]]) -> str:
    return row["note"] or f"no other file is faster than {_stem(row)} here ({row['p50_ms']} ms)"


def _stem(row: dict[str, Any]) -> str:
    return row["file"].removesuffix(".onnx")
