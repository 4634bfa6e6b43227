"""What the segmenter asks of the library that runs a graph, and the contract that every graph is held to."""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.edge.errors import BadModel

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Node:
    """An input or output of a graph."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    """None: free."""


class Backend(Protocol):
    """A graph loaded into a library; `run` may be called from several threads."""

    provider: str
    """Where it runs, by its name in `pipeline.edge.providers`."""
    precision: str
    """What it computes float models in: "f32" or less."""
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (N, H, W, 3) -> classes uint8 (N, H, W), confidence uint8 (N, H/4, W/4); raises what it likes."""
        ...


# (name, element type, rank) of the graph's input and outputs: the ONNX contract.
_INPUTS = (("image", "uint8", 4),)
_OUTPUTS = (("classes", "uint8", 3), ("confidence", "uint8", 3))


def check_contract(backend: Backend, path: Path) -> None:
    """Raises BadModel for a graph with other inputs or outputs than the contract's."""
    for kind, nodes, wanted in (("input", backend.inputs, _INPUTS), ("output", backend.outputs, _OUTPUTS)):
        found = tuple((node.name, node.dtype, len(node.shape)) for node in nodes)
        if sorted(found) != sorted(wanted):
            shown = ", ".join(f"{name} {dtype} of rank {rank}" for name, dtype, rank in found)
            raise BadModel(
                f"{path}: the {kind}s are {shown or 'none'}, not those of a mic-adapt model; export it again."
            )


def reason(error: Exception) -> str:
    """A library's error in one line, without the source lines that it passed through."""
    text = str(getattr(error, "strerror", None) or error).strip()
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^\S+\.(cc|cpp|h):\d+ .*?\(.*?\) (?=[A-Z])", "", text)  # onnxruntime's own functions
    lines = (line.strip().rstrip(".") for line in text.splitlines())
    told = (line for line in lines if line and not re.match(r"Exception from |Check '|FrontEnd API", line))
    line = next(told, type(error).__name__)
    return line if len(line) <= 200 else line[:197] + "..."


@functools.cache
def warn(text: str) -> None:
    """A sentence on stderr, once a process however many models are loaded."""
    print(f"warning: {text}", file=sys.stderr)
