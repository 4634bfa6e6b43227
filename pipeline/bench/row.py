"""A row of the bench: a ratio, what it may be, and what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch


@dataclass(frozen=True)
class Row:
    """`ratio` against `budget`, at most that, or with `at_least` no less; None where it could not be measured."""

    name: str
    ratio: float | None
    budget: float
    detail: str
    at_least: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the budget holds; None where nothing was measured."""
        if self.ratio is None:
            return None
        return self.ratio >= self.budget if self.at_least else self.ratio <= self.budget

    @property
    def as_json(self) -> dict[str, Any]:
        """The row's block of metrics/bench.json."""
        limit = "at least" if self.at_least else "at most"
        return {
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "budget": self.budget,
            "holds": self.holds,
            "detail": f"{limit} {self.budget:g}: {self.detail}",
        }


def seconds(work: Callable[[], object]) -> float:
    """Time of some work, the accelerator's part included."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def medians_in_turn(
    first: Callable[[], float], second: Callable[[], float], rounds: int
) -> tuple[float, float]:
    """Median answers of two runs that take turns, so that what else the machine does slows both; one warm-up each."""
    _, *pairs = [(first(), second()) for _ in range(1 + rounds)]
    return median(a for a, _ in pairs), median(b for _, b in pairs)
