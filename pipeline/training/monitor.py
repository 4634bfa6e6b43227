"""What a person sees of a training run: progress with ETA, curves (DVCLive) and debug pictures."""

from __future__ import annotations

import csv
import resource
import sys
import time
from pathlib import Path

import torch
from dvclive.live import Live
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.run.files import replacing

LINE_EVERY_S = 60.0  # without a terminal


class Monitor:
    """Curves and progress of one run from `first_step` to `steps`.

    Use as a context manager; `after_step` is called once a step with that step's losses.
    """

    def __init__(
        self, folder: Path, name: str, first_step: int, steps: int, images_per_step: int, log_every: int
    ):
        self.first_step, self.steps, self.images_per_step = first_step, steps, images_per_step
        self.name, self.log_every = name, log_every
        self.console = Console(stderr=True)
        self.started = self.last_line = time.monotonic()
        cut_curves(folder, first_step)
        # Inside a DVC stage: no dvc.yaml of its own, no experiment of its own.
        self.live = Live(str(folder), resume=first_step > 0, dvcyaml=None, save_dvc_exp=False, report=None)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"),
            console=self.console,
            disable=not sys.stderr.isatty(),
        )
        self.task = self.progress.add_task(name, total=steps, completed=first_step, state="")

    def __enter__(self) -> Monitor:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
        self.live.end()

    def after_step(self, step: int, scalars: dict[str, float]) -> None:
        """Log one finished step (0-based) with its losses, learning rate and shares."""
        done = step + 1 - self.first_step
        seconds = time.monotonic() - self.started
        rate = done * self.images_per_step / seconds
        left = (self.steps - step - 1) * seconds / done
        losses = " ".join(f"{k} {v:.3f}" for k, v in scalars.items() if k != "lr")
        state = f"{losses} | {rate:.1f} img/s | {memory_gib():.1f} GiB | ETA {clock(left)}"
        self.progress.update(self.task, completed=step + 1, state=state)
        last = step + 1 == self.steps
        if (step + 1) % self.log_every == 0 or last:
            for name, value in scalars.items():
                self.live.log_metric(name, value)
            self.live.log_metric("images_per_second", rate)
            self.live.log_metric("memory_gib", memory_gib())
            self.live.step = step + 1
            self.live.make_summary()
        if self.progress.disable and (time.monotonic() - self.last_line > LINE_EVERY_S or last):
            self.last_line = time.monotonic()
            self.console.print(
                f"{self.name} step {step + 1}/{self.steps} {state}", soft_wrap=True, highlight=False
            )


def cut_curves(folder: Path, first_step: int) -> None:
    """Drop points that a killed run logged after its last checkpoint, so that no step stands twice in a curve."""
    for path in (folder / "plots" / "metrics").rglob("*.tsv"):
        with path.open(newline="") as file:
            header, *rows = csv.reader(file, delimiter="\t")
        column = header.index("step")
        kept = [row for row in rows if int(row[column]) < first_step]
        with replacing(path) as beside, beside.open("w", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows([header, *kept])


def memory_gib() -> float:
    """Peak memory of the device that trains, GiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def clock(seconds: float) -> str:
    """h:mm:ss."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}"
