"""fp16 for GPUs: weights and activations of the network in half precision, what lies outside it in float32."""

from __future__ import annotations

import onnx
from onnx import GraphProto, ModelProto
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from pipeline.onnx.graph import LOGITS
from pipeline.onnx.variants.graph import network_nodes

DOWN, BACK = "_cast_to_fp16_node", "_cast_to_fp32_node"  # how the converter's own Casts are named


def to_fp16(model: ModelProto, where: str) -> ModelProto:
    """A copy of an fp32 model in fp16; `where` is the file for errors. Inputs and outputs stay uint8."""
    inside = network_nodes(model, where)
    outside = [node.name for node in model.graph.node if node.name not in inside]
    half = convert_float_to_float16(model, node_block_list=outside)
    _stay_in_float32(half.graph)
    for node in model.graph.node:
        if LOGITS in node.output:
            _name_output(half.graph, node.name, LOGITS)
    OnnxModel.graph_topological_sort(half.graph)
    onnx.checker.check_model(half)
    return half


def _name_output(graph: GraphProto, node: str, name: str) -> None:
    """Call a node's output what it was called before the converter put a Cast behind it."""
    (made,) = (found for found in graph.node if found.name == node)
    before = made.output[0]
    made.output[0] = name
    for other in graph.node:
        other.input[:] = [name if given == before else given for given in other.input]


def _stay_in_float32(graph: GraphProto) -> None:
    """Undo what the converter does between two float32 nodes: a Cast to fp16 and back, and some of them twice."""
    nodes = list({node.output[0]: node for node in graph.node}.values())
    before = {node.output[0]: node.input[0] for node in nodes if node.name.endswith(DOWN)}
    unrounded = {
        node.output[0]: before[node.input[0]]
        for node in nodes
        if node.name.endswith(BACK) and node.input[0] in before
    }
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = unrounded.get(name, name)
    nodes = [node for node in nodes if node.output[0] not in unrounded]
    used = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    del graph.node[:]
    graph.node.extend(node for node in nodes if not node.name.endswith(DOWN) or node.output[0] in used)
    del graph.value_info[:]  # the converter's are no longer true; runtimes infer their own
