"""onnxruntime as a backend: one session, on the execution provider that was asked for and no other."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.edge.backend import Node, reason, warn
from pipeline.edge.checksum import ModelFile
from pipeline.edge.errors import BadModel, ProviderMissing

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

_EXECUTION_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
_NEEDS = {
    "cpu": "install onnxruntime again",
    "cuda": "install onnxruntime-gpu in place of onnxruntime",
    "tensorrt": "install onnxruntime-gpu in place of onnxruntime, and TensorRT",
    "coreml": "only onnxruntime for a Mac has it",
}
# Packages that all bring the module `onnxruntime` and so overwrite each other's files; `pip` warns of nothing.
_FLAVOURS = ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime")


class OnnxruntimeBackend:
    """See Backend. Raises BadModel for no ONNX model, ProviderMissing where another provider would run."""

    precision = "f32"

    def __init__(self, file: ModelFile, provider: str, threads: int | None) -> None:
        self.provider = provider
        self._session = _start(file, provider, threads)
        self.inputs = tuple(map(_node, self._session.get_inputs()))
        self.outputs = tuple(map(_node, self._session.get_outputs()))

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # No IO binding: the copies it saves are 1 MB in and 0.2 MB out beside a run of 40 ms and more.
        classes, confidence = self._session.run(["classes", "confidence"], {"image": pixels})
        return classes, confidence  # type: ignore[return-value]  tensors come as arrays


def _start(file: ModelFile, provider: str, threads: int | None) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ProviderMissing(f"onnxruntime does not load ({reason(error)}); install it again.") from None
    wanted = _EXECUTION_PROVIDERS[provider]
    clash = _clash()
    if wanted not in ort.get_available_providers():
        missing = f"Provider {provider} is not in onnxruntime {ort.__version__}"
        raise ProviderMissing(f"{missing}: {clash or f'{_NEEDS[provider]}, or use cpu'}.")
    if clash:
        warn(f"{clash}.")
    ort.disable_telemetry_events()  # on Windows, where ORT_DISABLE_TELEMETRY is not read
    ort.set_default_logger_severity(4)  # errors come as exceptions; its log lines would repeat them
    if provider in ("cuda", "tensorrt"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it misses; stdout is for JSON lines
            ort.preload_dlls()
    options = _options(ort, threads)
    if provider != "cpu":
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session = ort.InferenceSession(file.content, options, _providers(file, provider), enable_fallback=0)
    except Exception as error:  # onnxruntime has a type for each kind of failure
        if provider != "cpu" and _loads_on_the_cpu(file, ort):
            raise _not_running(provider, reason(error)) from None
        raise BadModel(
            f"{file.path} is no ONNX model that loads ({reason(error)}); export it again."
        ) from None
    if session.get_providers()[0] != wanted:
        raise _not_running(provider, "onnxruntime fell back to the CPU")
    if provider != "cpu" and wanted not in {
        part.ep_name for part in session.get_provider_graph_assignment_info()
    }:
        raise _not_running(provider, "onnxruntime gave it no node of this model")
    return session


def _options(ort: Any, threads: int | None) -> onnxruntime.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # Memory over 60 pictures of 20 shapes, in MB after the first and after the last, and ns a pixel of one thread:
    # arena 117 -> 146, 548; without the arena 128 -> 168, 567; shrunk after each run 94 -> 182, 695; with a memory
    # plan for each shape 119 -> 191, 630; extended by no more than asked 119 -> 148, 582.
    options.enable_mem_pattern = False
    # Threads that wait do not spin: they would take the core from the thread that reads or saves. On two cores
    # with other work, 113 ms in place of 288 ms a picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


def _providers(file: ModelFile, provider: str) -> list[Any]:
    providers: list[Any] = [_EXECUTION_PROVIDERS["cpu"]]
    if provider in ("cuda", "tensorrt"):
        # The exhaustive search of convolution algorithms would be repeated for every new shape, and an arena that
        # doubles would keep what the largest picture once took twice over.
        cuda = {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
        providers.insert(0, (_EXECUTION_PROVIDERS["cuda"], cuda))
    if provider == "tensorrt":
        cache = _engine_cache(file)
        engines = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache)}
        providers.insert(0, (_EXECUTION_PROVIDERS["tensorrt"], engines))
    if provider == "coreml":
        providers.insert(0, _EXECUTION_PROVIDERS["coreml"])
    return providers


def _engine_cache(file: ModelFile) -> Path:
    """Where TensorRT keeps its engines, which take minutes to build, for a graph: their names do not tell weights."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = home / "mic-adapt" / "tensorrt" / file.graph_sha256[:16]
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _clash() -> str | None:
    """What to do where two flavours of onnxruntime are installed; None where there is one."""
    versions: dict[str, str] = {}
    for name in _FLAVOURS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    if len(versions) < 2:
        return None
    found = " and ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{found} overwrite each other's files: pip uninstall {' '.join(versions)}, then install {next(iter(versions))}"
        " alone, which runs on the CPU too"
    )


def _loads_on_the_cpu(file: ModelFile, ort: Any) -> bool:
    try:
        ort.InferenceSession(file.content, _options(ort, 1), [_EXECUTION_PROVIDERS["cpu"]])
    except Exception:
        return False
    return True


def _not_running(provider: str, why: str) -> ProviderMissing:
    needs = "its libraries" if provider == "coreml" else "the driver and the CUDA libraries"
    needs += " and TensorRT's" if provider == "tensorrt" else ""
    return ProviderMissing(f"Provider {provider} does not run here ({why}): check {needs}, or use cpu.")


def _node(node: Any) -> Node:
    dtype = node.type.removeprefix("tensor(").removesuffix(")")
    return Node(node.name, dtype, tuple(size if isinstance(size, int) else None for size in node.shape))
