"""One picture of one size: what compilers for phones, NPUs and TensorRT ask for instead of free dimensions."""

from __future__ import annotations

import onnx
import onnxscript.optimizer
from onnx import ModelProto
from onnxruntime.tools.onnx_model_utils import fix_output_shapes, make_input_shape_fixed

from pipeline.onnx.graph import drop_notes


def to_fixed_size(model: ModelProto, size: tuple[int, int]) -> ModelProto:
    """A copy of a model for N = 1 and (H, W) = `size`; what follows from the size is folded into constants."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    make_input_shape_fixed(fixed.graph, "image", [1, *size, 3])
    del fixed.graph.value_info[:]  # they still name the free dimensions
    fixed = onnxscript.optimizer.optimize(fixed)
    fix_output_shapes(fixed)
    drop_notes(fixed.graph)
    onnx.checker.check_model(fixed)
    return fixed
