"""`mic-edge bench`: how long models take for a picture, end to end in memory, on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.edge.images import resize_image
from pipeline.edge.runtime import Segmenter

_WARM_UPS = 3
_STEPS = ("prepare", "network", "finish")
_ABOUT_EQUAL = 0.05  # two runs of one model differ as much

Size = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """One model at one picture size; times in milliseconds, the steps' and the sum's."""

    model: str
    size: Size
    """(height, width) of the picture given."""
    network_size: Size
    """(height, width) that the network saw."""
    provider: str
    precision: str
    threads: int | None
    """None: all cores."""
    runs: int
    p50: float
    p90: float
    p99: float
    prepare: float
    network: float
    finish: float
    """p50 of each step."""
    pictures_per_second: float
    comparison: str
    """Against the first model, in words; empty for itself."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def bench(
    models: list[Path],
    sizes: list[Size],
    runs: int,
    provider: str,
    threads: int | None,
    allow_cpu: bool = False,
    precision: str = "f32",
    verify: bool = True,
) -> list[Row]:
    """Rows by size, then model. No `sizes`: the training size of the first model.

    The models take turns, picture by picture, so that a machine that slows down slows them all. Reading and
    writing files is not counted. Raises BadModel and ProviderMissing as Segmenter does.
    """
    machine = provider, threads, allow_cpu, 1, precision, verify
    segmenters = [Segmenter(path, *machine) for path in models]
    rows: list[Row] = []
    for size in sizes or [segmenters[0].manifest.training_size]:
        picture = _picture(size)
        times = np.zeros((len(segmenters), runs, len(_STEPS)))
        network_sizes: list[Size] = []
        for segmenter in segmenters:
            height, width = segmenter.prepare(picture).pixels.shape[1:3]
            network_sizes.append((height, width))
            for _ in range(_WARM_UPS):
                segmenter.segment(picture)
        for run in range(runs):
            for i, segmenter in enumerate(segmenters):
                milliseconds = segmenter.segment(picture).milliseconds
                times[i, run] = [milliseconds[step] for step in _STEPS]
        sums = times.sum(2)
        first = float(np.median(sums[0]))
        for i, path in enumerate(models):
            p50, p90, p99 = np.percentile(sums[i], (50, 90, 99)).tolist()
            rows.append(
                Row(
                    str(path),
                    size,
                    network_sizes[i],
                    segmenters[i].provider,
                    segmenters[i].precision,
                    threads,
                    runs,
                    p50,
                    p90,
                    p99,
                    *np.median(times[i], axis=0).tolist(),
                    pictures_per_second=1000 * runs / float(sums[i].sum()),
                    comparison=_compared(p50 / first, models[0].name) if i else "",
                )
            )
    return rows


def table(rows: list[Row]) -> str:
    """The rows for a person."""
    times = ("p50 ms", "p90", "p99", "prepare", "network", "finish")
    lines: list[tuple[str, ...]] = [
        ("model", "picture", "network sees", *times, "provider", "in", "threads", "pictures/s", "")
    ]
    for r in rows:
        shown = (f"{value:.1f}" for value in (r.p50, r.p90, r.p99, r.prepare, r.network, r.finish))
        lines.append(
            (
                Path(r.model).name,
                "{}x{}".format(*r.size),
                "{}x{}".format(*r.network_size),
                *shown,
                r.provider,
                r.precision,
                str(r.threads or "all"),
                f"{r.pictures_per_second:.2f}",
                r.comparison,
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _compared(ratio: float, first: str) -> str:
    if ratio > 1 + _ABOUT_EQUAL:
        return f"slower than {first}: {ratio:.2f} times its time"
    if ratio < 1 - _ABOUT_EQUAL:
        return f"faster than {first}: {ratio:.2f} times its time"
    return f"as fast as {first}"


def _picture(size: Size) -> np.ndarray:
    """Coarse noise, the same every time: the time of a network does not depend on what it sees."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    return resize_image(coarse, size)
