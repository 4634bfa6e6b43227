"""Where a model runs: on what was asked for, or an error that says what is missing; never silently elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.edge.backend import Backend, check_contract, warn
from pipeline.edge.errors import ProviderMissing, UserError

PROVIDERS = ("cpu", "cuda", "tensorrt", "openvino", "coreml")
"""OpenVINO's own library runs `openvino`; onnxruntime runs the others."""


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_model(path: Path, provider: str, threads: int | None, allow_cpu: bool, at_once: int = 1) -> Backend:
    """The .onnx file at `path`, loaded where `provider` says.

    `threads` bounds the CPU threads (None: all cores), which `at_once` runs share on the CPU. With `allow_cpu` a
    missing provider is a warning on stderr, and the CPU runs. Raises UserError, BadModel, ProviderMissing.
    """
    if provider not in PROVIDERS:
        raise UserError(f"Unknown provider {provider!r}: use {', '.join(PROVIDERS[:-1])} or {PROVIDERS[-1]}.")
    if threads is not None and threads < 1:
        raise UserError(f"{threads} threads: use 1 or more.")
    try:
        backend = _load(path, provider, threads, at_once)
    except ProviderMissing as error:
        if not allow_cpu or provider == "cpu":
            raise
        warn(f"the CPU runs instead: {error}")
        backend = _load(path, "cpu", threads, at_once)
    check_contract(backend, path)
    return backend


def _load(path: Path, provider: str, threads: int | None, at_once: int) -> Backend:
    if provider == "openvino":
        from pipeline.edge.openvino_backend import OpenvinoBackend

        return OpenvinoBackend(path, threads)
    from pipeline.edge.onnxruntime_backend import OnnxruntimeBackend

    if provider == "cpu" and at_once > 1:
        threads = -(-(threads or cores()) // at_once)
    return OnnxruntimeBackend(path, provider, threads)
