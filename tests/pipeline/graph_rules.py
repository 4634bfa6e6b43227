"""What every file that ships keeps to, so that old onnxruntimes and TensorRT take it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, shape_inference

BYTES = (TensorProto.UINT8, TensorProto.INT8)
QUANTISED = ("QuantizeLinear", "DequantizeLinear")


def broken_rules(path: Path) -> list[str]:
    """A sentence for each rule that a file breaks."""
    model = onnx.load(path)
    broken = []
    if (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) != (8, [("", 18)]):
        broken.append(
            f"IR {model.ir_version}, {model.opset_import}: onnxruntime 1.16 wants IR 8 and opset 18"
        )
    if model.doc_string or model.functions or b"/pipeline/" in path.read_bytes():
        broken.append("notes of the exporter, or paths of its machine")
    for graph in graphs(model.graph):
        for item in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
            if item.metadata_props or item.doc_string:
                broken.append(f"{item.name}: metadata {item.metadata_props} {item.doc_string}")
        names = [node.name for node in graph.node]
        if len(set(names)) < len(names) or not all(names):
            broken.append("nodes without a name of their own")
    return broken + dims_without_names(model) + bytes_inside(model)


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from graphs(attribute.g)


def dims_without_names(model: onnx.ModelProto) -> list[str]:
    """The contract's shapes, in the input's own `n`, `h` and `w`, or in numbers all of them."""
    image, (classes, confidence) = dims(model.graph.input[0]), map(dims, model.graph.output)
    n, height, width, _ = image
    if isinstance(height, int) and isinstance(width, int):
        wanted = [[n, height, width], [n, height // 4, width // 4]]
    else:
        stride = int(str(height).removesuffix("*h"))
        if (height, width) != (f"{stride}*h", f"{stride}*w"):
            return [f"image {image}"]
        wanted = [[n, height, width], [n, f"{stride // 4}*h", f"{stride // 4}*w"]]
    return (
        [] if [classes, confidence] == wanted else [f"classes {classes}, confidence {confidence}: {wanted}"]
    )


def dims(value: ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def bytes_inside(model: onnx.ModelProto) -> list[str]:
    """TensorRT takes uint8 at the border alone: the first node casts it away, the last ones to it."""
    types = {t.name: t.data_type for t in model.graph.initializer}
    inferred = shape_inference.infer_shapes(model).graph
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        types[value.name] = value.type.tensor_type.elem_type
    outputs = [output.name for output in model.graph.output]
    broken = []
    for node in model.graph.node:
        if node.op_type in QUANTISED or follows_int8(node, model.graph):
            continue
        from_bytes = [name for name in node.input if types.get(name) in BYTES]
        to_bytes = [name for name in node.output if types.get(name) in BYTES]
        if from_bytes and (node.op_type, from_bytes) != ("Cast", ["image"]):
            broken.append(f"{node.name} reads bytes: {from_bytes}")
        if to_bytes and not (node.op_type == "Cast" and set(to_bytes) <= set(outputs)):
            broken.append(f"{node.name} writes bytes: {to_bytes}")
    return broken


def follows_int8(node: NodeProto, graph: GraphProto) -> bool:
    """Whether all its bytes are those of quantised tensors."""
    quantised = {name for other in graph.node if other.op_type == "QuantizeLinear" for name in other.output}
    return bool(node.input) and node.input[0] in quantised
