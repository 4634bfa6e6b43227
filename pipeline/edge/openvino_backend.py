"""OpenVINO as a backend for CPUs: the same .onnx file, read by OpenVINO itself."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.edge.backend import Node, reason
from pipeline.edge.checksum import ModelFile
from pipeline.edge.errors import BadModel, ProviderMissing

if TYPE_CHECKING:
    import numpy as np


class OpenvinoBackend:
    """See Backend; `precision`: f32, bf16 or auto, which is OpenVINO's own choice.

    Raises BadModel for a file that OpenVINO cannot read, ProviderMissing without OpenVINO or for a precision that this
    CPU does not compute in.
    """

    provider = "openvino"

    def __init__(self, file: ModelFile, threads: int | None, precision: str) -> None:
        openvino = load_openvino()
        # Latency: one picture over all threads. Threads that are tied to cores wait there for whatever else runs:
        # on two cores with other work, 156 ms in place of 90 ms a picture.
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        if precision != "auto":
            config["INFERENCE_PRECISION_HINT"] = precision
        try:
            with _unbounded():
                core = openvino.Core()
                model = core.compile_model(core.read_model(file.content), "CPU", config)
            self.inputs = tuple(map(_node, model.inputs))
            self.outputs = tuple(map(_node, model.outputs))
        except RuntimeError as error:
            raise BadModel(f"{file.path}: OpenVINO cannot read it ({reason(error)}); use cpu.") from None
        self.precision: str = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if precision not in ("auto", self.precision):
            raise ProviderMissing(
                f"OpenVINO computes in {self.precision} on this CPU, not in {precision}: use {self.precision} or auto."
            )
        self._request = model.create_infer_request()
        self._lock = threading.Lock()  # a request is one picture's; a second one would share its cores

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            answer = self._request.infer({"image": pixels})
            return answer["classes"], answer["confidence"]


def load_openvino() -> Any:
    """The module `openvino`, which tells nobody that it was imported. Raises ProviderMissing without it."""
    # Importing it sends an event to its makers; where its telemetry package is missing, it does without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  None: not to be imported
    try:
        import openvino
    except ImportError as error:
        raise ProviderMissing(
            f"Provider openvino does not load ({reason(error)}): install mic-adapt[openvino], or use cpu."
        ) from None
    return openvino


@contextmanager
def _unbounded() -> Iterator[None]:
    """Hides the bound that a person sets on oneDNN's instructions, which OpenVINO reads with its first model.

    Its other kernels ask the CPU itself, and below AVX2 some layers are left with none that fits ("bad combination").
    """
    bound = os.environ.pop("ONEDNN_MAX_CPU_ISA", None)
    try:
        yield
    finally:
        if bound is not None:
            os.environ["ONEDNN_MAX_CPU_ISA"] = bound


def _node(port: Any) -> Node:
    shape = port.get_partial_shape()
    sizes = () if shape.rank.is_dynamic else tuple(None if d.is_dynamic else d.get_length() for d in shape)
    return Node(port.get_any_name(), str(port.get_element_type().to_dtype()), sizes)
