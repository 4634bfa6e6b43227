"""int8 by onnxruntime's static quantisation (QDQ), calibrated on unlabelled target pictures.

Weights are symmetric with a scale for each channel, activations uint8 with a scale for each tensor. What lies outside
the network (normalisation, the last resize, argmax, softmax) stays in float, and so do the modules that suffer most:
`modules_in_float` finds them by measurement.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.runtime import Segmenter
from pipeline.onnx.variants.graph import modules_of, network_nodes

MOST_MODULES = 12  # whose sensitivity is measured: each costs a quantisation and a few pictures
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Quantised only behind quantised nodes, so that onnxruntime stays in int8 there: elsewhere (the Add of a GELU, say)
# they would cost accuracy and gain nothing.
BETWEEN = frozenset({"Add", "AveragePool", "Clip", "Concat", "MaxPool", "Relu", "Reshape", "Transpose"})
JOINING = frozenset(
    {"Add", "Concat"}
)  # every input counts; of the others the first, the rest being bounds and shapes


class CalibrationPictures(CalibrationDataReader):
    """Pictures one at a time, each prepared as the runtime prepares it."""

    def __init__(self, records: Sequence[Record], segmenter: Segmenter) -> None:
        self._inputs: Iterator[dict[str, Any]] = (
            {"image": segmenter.prepare(read_picture(record.image)).pixels} for record in records
        )

    def get_next(self) -> dict[str, Any] | None:  # type: ignore[override]
        """The graph's next input, None after the last."""
        return next(self._inputs, None)


class Quantiser:
    """Quantises one fp32 file with any of its modules left in float; calibrates once and keeps that in `folder`."""

    def __init__(self, fp32: Segmenter, calibration: Sequence[Record], folder: Path) -> None:
        self._fp32, self._calibration = fp32, calibration
        self._model = onnx.load(fp32.path)
        paths = network_nodes(self._model, str(fp32.path))
        weighted = [n.name for n in self._model.graph.node if n.name in paths and n.op_type in WEIGHTED]
        self._module_of = modules_of(paths, weighted, MOST_MODULES)
        self.modules = tuple(dict.fromkeys(self._module_of[name] for name in weighted))
        """Names of the modules with weights, in graph order."""
        self._ranges, self._bare = folder / "calibration.json", folder / "bare.onnx"
        # The preprocessing that quantize_static warns without is done: batch norms are folded, types are known.
        onnx.helper.set_model_props(self._model, {"onnx.quant.pre_process": "onnxruntime.quant"})
        onnx.save(self._model, self._bare)

    def quantise(self, in_float: Collection[str], path: Path) -> onnx.ModelProto:
        """The model with the modules `in_float` left in float; `path` is written on the way."""
        quantize_static(
            self._bare,
            path,
            CalibrationPictures(self._calibration, self._fp32),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=sorted(WEIGHTED | BETWEEN),
            nodes_to_quantize=self.quantised_nodes(in_float),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Ranges of tensors, not of modules: the first call calibrates, the others read what it found.
            calibration_cache_path=self._ranges,
            # Products of two activations (attention scores) lose the most and gain the least.
            extra_options={"WeightSymmetric": True, "MatMulConstBOnly": True},
        )
        return onnx.load(path)

    def quantised_nodes(self, in_float: Collection[str]) -> list[str]:
        """Nodes with weights outside the modules `in_float`, and the nodes between them that follow in int8."""
        chosen: list[str] = []
        quantised: set[str] = set()  # tensors
        for node in self._model.graph.node:
            if self._module_of.get(node.name) in (None, *in_float):
                continue
            needed = node.input if node.op_type in JOINING else node.input[:1]
            follows = node.op_type in BETWEEN and all(name in quantised for name in needed)
            if node.op_type in WEIGHTED or follows:
                chosen.append(node.name)
                quantised.update(node.output)
        return chosen


def modules_in_float(
    modules: Sequence[str], holds: Callable[[tuple[str, ...]], bool], agreement: Callable[[str], float]
) -> tuple[str, ...] | None:
    """The fewest modules to leave in float so that the budget `holds`, most sensitive first; None where none do.

    `agreement` (with fp32, on few pictures), asked once for each module left in float alone, tells what that gives
    back: its sensitivity. `holds` is asked for the first n by that rank, and n is found by bisection: one module more
    in float is taken to do no harm.
    """
    if holds(()):
        return ()
    ranked = sorted(modules, key=agreement, reverse=True)
    fewest = bisect_left(range(len(ranked)), True, lo=1, key=lambda n: holds(tuple(ranked[:n])))
    return tuple(ranked[:fewest]) if fewest < len(ranked) else None  # all of them in float is fp32 again
