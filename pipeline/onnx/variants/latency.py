"""Time of a model's network and of the whole way from file to classes, several models in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles

import numpy as np

from pipeline.edge.errors import ProviderMissing
from pipeline.edge.runtime import Segmenter

PROVIDERS = ("cpu", "cuda")  # that variants are timed on, where they run
WARM_UP = 2
ROUNDS = 30
SECONDS = 15.0  # for all models together, warm-up not counted
FEWEST = 3  # rounds, however long they take


def in_turn(runs: Mapping[str, Callable[[], float]], fewest: int = FEWEST) -> dict[str, list[float]]:
    """What each run answers (its time), every round all of them: what slows the machine slows them alike."""
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    started = time.perf_counter()
    for number in range(ROUNDS):
        if number >= fewest and time.perf_counter() - started > SECONDS:
            break
        for name, run in runs.items():
            taken[name].append(run())
    return taken


def network_ms(model: Segmenter, image: np.ndarray) -> float:
    """Milliseconds of session.run alone, on one picture."""
    return model.run(model.prepare(image)).milliseconds


def p50(times: list[float]) -> float:
    """Median, two decimals."""
    return round(median(times), 2)


def p90(times: list[float]) -> float:
    """90th percentile, two decimals."""
    return round(quantiles(times, n=10, method="inclusive")[-1], 2)


def sessions(paths: Mapping[str, Path], provider: str, threads: int) -> dict[str, Segmenter]:
    """The files loaded on a provider; none at all where that does not run here."""
    try:
        return {name: Segmenter(path, provider, threads) for name, path in paths.items()}
    except ProviderMissing:
        if provider == "cpu":
            raise
        return {}
