"""Where a model runs: on what was asked for, or an error that says what is missing; never silently elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline.edge.backend import Backend, check_contract, warn
from pipeline.edge.errors import ProviderMissing, UserError

if TYPE_CHECKING:
    from pipeline.edge.checksum import ModelFile

PROVIDERS = ("cpu", "cuda", "tensorrt", "openvino", "coreml")
"""OpenVINO's own library runs `openvino`; onnxruntime runs the others."""

PRECISIONS = ("f32", "bf16", "auto")
"""What float models are computed in; `auto` leaves it to the library, which takes bf16 where the CPU has it."""


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_model(
    file: ModelFile,
    provider: str,
    threads: int | None,
    allow_cpu: bool,
    at_once: int = 1,
    precision: str = "f32",
) -> Backend:
    """The .onnx file, loaded where `provider` says.

    `threads` bounds the CPU threads (None: all cores), which `at_once` runs share on the CPU. With `allow_cpu` a
    missing provider is a warning on stderr, and the CPU runs. Raises UserError, BadModel, ProviderMissing.
    """
    if provider not in PROVIDERS:
        raise UserError(f"Unknown provider {provider!r}: use {', '.join(PROVIDERS[:-1])} or {PROVIDERS[-1]}.")
    if threads is not None and threads < 1:
        raise UserError(f"{threads} threads: use 1 or more.")
    if precision not in PRECISIONS:
        raise UserError(
            f"Unknown precision {precision!r}: use {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}."
        )
    if precision == "bf16" and provider != "openvino":
        raise UserError(
            f"Provider {provider} has no choice of precision: leave --precision out, or use openvino."
        )
    try:
        backend = _load(file, provider, threads, at_once, precision)
    except ProviderMissing as error:
        if not allow_cpu or provider == "cpu":
            raise
        warn(f"the CPU runs instead: {error}")
        backend = _load(file, "cpu", threads, at_once, "f32")
    check_contract(backend, file.path)
    return backend


def _load(file: ModelFile, provider: str, threads: int | None, at_once: int, precision: str) -> Backend:
    if provider == "openvino":
        from pipeline.edge.openvino_backend import OpenvinoBackend

        return OpenvinoBackend(file, threads, precision)
    from pipeline.edge.onnxruntime_backend import OnnxruntimeBackend

    if provider == "cpu" and at_once > 1:
        threads = -(-(threads or cores()) // at_once)
    return OnnxruntimeBackend(file, provider, threads)
