"""Where a model runs: on what was asked for, or an error that says what is missing; never silently elsewhere."""

from __future__ import annotations

from pathlib import Path

from pipeline.edge.backend import Backend, check_contract, warn
from pipeline.edge.errors import ProviderMissing, UserError

PROVIDERS = ("cpu", "cuda", "tensorrt", "openvino", "coreml")
"""OpenVINO's own library runs `openvino`; onnxruntime runs the others."""


def open_model(path: Path, provider: str, threads: int | None, allow_cpu: bool) -> Backend:
    """The .onnx file at `path`, loaded where `provider` says.

    `threads` bounds the CPU threads of one run (None: all cores). With `allow_cpu` a missing provider is a warning
    on stderr, and the CPU runs. Raises UserError, BadModel, ProviderMissing.
    """
    if provider not in PROVIDERS:
        raise UserError(f"Unknown provider {provider!r}: use {', '.join(PROVIDERS[:-1])} or {PROVIDERS[-1]}.")
    if threads is not None and threads < 1:
        raise UserError(f"{threads} threads: use 1 or more.")
    try:
        backend = _load(path, provider, threads)
    except ProviderMissing as error:
        if not allow_cpu or provider == "cpu":
            raise
        warn(f"the CPU runs instead: {error}")
        backend = _load(path, "cpu", threads)
    check_contract(backend, path)
    return backend


def _load(path: Path, provider: str, threads: int | None) -> Backend:
    if provider == "openvino":
        from pipeline.edge.openvino_backend import OpenvinoBackend

        return OpenvinoBackend(path, threads)
    from pipeline.edge.onnxruntime_backend import OnnxruntimeBackend

    return OnnxruntimeBackend(path, provider, threads)
