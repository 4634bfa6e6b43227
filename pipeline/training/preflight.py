"""Before a run of days: what it will train on, and one real step with its time and memory, in about a minute.

`python -m pipeline.train --method mic --preflight` leaves a debug picture behind and nothing else.
"""

from __future__ import annotations

import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import torch
from rich.console import Console

from pipeline.data.index import read_index
from pipeline.data.loaders import Batch
from pipeline.data.read_ahead import training_loader
from pipeline.data.report import data_report, print_report
from pipeline.edge.errors import UserError
from pipeline.params import Params
from pipeline.run.workspace import Workspace
from pipeline.tasks.segmentation.debug_picture import save_debug_picture
from pipeline.training.monitor import clock, memory_gib
from pipeline.training.step import Setup, train_step

LOADER_BUDGET = 1.5  # images/s of the loader over those of the step, so that the device never waits
LOADED = 8  # batches a worker is timed on
LOADER_S = 20.0  # longest time for that
GIB = 2**30
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
OUT_OF_MEMORY = "out of memory|allocate memory|could not create a"  # CUDA, torch on a CPU, oneDNN
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": GIB}


def run(
    params: Params,
    workspace: Workspace,
    method: str,
    set_up: Callable[[Params, Workspace, str], Setup],
) -> int:
    """Print data, memory, speed and estimated finish of a run of `method`; returns 0.

    Raises:
        UserError: the memory of the device will not do.
    """
    own = params.for_method(method)
    config, console = own.train, Console()
    source, target = (read_index(workspace.index(domain)) for domain in ("source", "target"))
    print_report(
        data_report(source, target, params.data.min_class_share, params.data.scored_classes), console
    )

    there = available_gib()
    with enough_memory(own, there):
        setup = set_up(params, workspace, method)
    step = config.first_full_step
    warm_up, batch, loading = time_loader(setup, own, step)
    with enough_memory(own, there):
        train_step(setup, warm_up, step, own)
        seconds = time_step(setup, batch, step, own)
    picture = save_debug_picture(workspace.preflight(method), step + 1, setup.algorithm.view)

    images, ratio = 2 * config.batch_size, seconds / loading
    each = max(seconds, loading) if config.workers else seconds + loading
    left = timedelta(seconds=config.steps * each)
    cuda = setup.fabric.device.type == "cuda"
    device = torch.cuda.get_device_name() if cuda else f"{torch.get_num_threads()} CPU threads"
    lines = [
        f"memory: {memory_gib():.2f} GiB at the peak, {there:.2f} GiB there ({device})",
        f"step: {seconds:.3g} s, {images / seconds:.1f} images/s",
        f"loader: {images / loading:.1f} images/s, {ratio:.1f} times the step's (budget {LOADER_BUDGET})",
        f"estimated finish: {datetime.now() + left:%Y-%m-%d %H:%M}, in {clock(left.total_seconds())} hours "
        f"({config.steps} steps)",
        f"picture of the step: {picture}",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    if ratio < LOADER_BUDGET:
        console.print(
            f"[yellow]warning:[/] the loader is too slow for the step: raise train.workers (now {config.workers}, "
            f"and this machine has {os.cpu_count()} cores)",
            highlight=False,
            soft_wrap=True,
        )
    return 0


def time_loader(setup: Setup, params: Params, step: int) -> tuple[Batch, Batch, float]:
    """Two batches, and the loader's seconds a batch with nothing else running."""
    count = 1 + LOADED * max(params.train.workers, 1)
    config = params.train.model_copy(update={"steps": step + count})
    batches = training_loader(setup.batches, config, step)
    first = next(batches)  # starts the workers
    started, timed, last = time.perf_counter(), 0, first
    while timed < count - 1 and time.perf_counter() - started < LOADER_S:
        last, timed = next(batches), timed + 1
    return first, last, (time.perf_counter() - started) / timed


def time_step(setup: Setup, batch: Batch, step: int, params: Params) -> float:
    """Seconds of one training step."""
    cuda = setup.fabric.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    train_step(setup, batch, step, params)
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def available_gib() -> float:
    """Memory that this process may come to fill on the device that trains, what it has now included; GiB."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.mem_get_info()[0] / GIB
    available = psutil.virtual_memory().available + psutil.Process().memory_info().rss
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.exists() else "max"  # of a container
    return (available if limit == "max" else min(available, int(limit))) / GIB


@contextmanager
def enough_memory(params: Params, there: float) -> Iterator[None]:
    """One sentence, where the block within needs more than `there` GiB.

    Raises:
        UserError: it does.
    """
    try:
        with data_limit(there):
            yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not re.search(OUT_OF_MEMORY, str(error)):
            raise
        asked = re.search(r"ried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)", str(error))
        more = float(asked[1]) * UNITS[asked[2]] / GIB if asked else 0
        raise too_little(params, f"more than {max(memory_gib() + more, there):.2f}", there) from None
    if memory_gib() > there:
        raise too_little(params, f"{memory_gib():.2f}", there)


@contextmanager
def data_limit(there: float) -> Iterator[None]:
    """On a CPU, an allocation beyond `there` GiB fails within: else the kernel kills the process, without a word."""
    if torch.cuda.is_available() or sys.platform != "linux":
        yield
        return
    memory = psutil.Process().memory_info()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory.data + max(round(there * GIB) - memory.rss, 0)
    resource.setrlimit(
        resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def too_little(params: Params, needed: str, there: float) -> UserError:
    """The sentence that names what was needed, what is there and what to lower."""
    network, config = params.network, params.train
    detail = "" if network.hrda is None else f", network.hrda.detail {list(network.hrda.detail)}"
    return UserError(
        f"a training step needs {needed} GiB of memory and {there:.2f} GiB are there: lower train.crop "
        f"{list(config.crop)}, train.batch_size {config.batch_size}{detail}, or take a smaller network.encoder than "
        f"{network.encoder}"
    )
