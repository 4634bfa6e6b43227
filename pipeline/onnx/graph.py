"""The ONNX graph of a network."""

from __future__ import annotations

import ast
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import onnx
import torch
from timm.layers import pos_embed_sincos

from pipeline.edge.errors import UserError
from pipeline.edge.images import up_to_multiple
from pipeline.networks.edge_graph import CONFIDENCE_STRIDE, EdgeGraph
from pipeline.networks.sliding import fixed_size
from pipeline.params import Params

# torch's exporter writes "['', 'network', 'network.encoder', ..., 'conv2d']" beside each node.
MODULE_KEY = "pkg.torch.onnx.name_scopes"
NETWORK = "network"  # EdgeGraph's attribute: what lies outside is normalisation, the last resize, argmax and softmax
LOGITS = "logits"  # the tensor inside the file that the parity gate opens: (N, 19, H, W), float32


def export_graph(graph: EdgeGraph, path: Path, params: Params) -> None:
    """Write the ONNX graph: N free and H, W free multiples of the stride, or all fixed where windows slide.

    Raises:
        UserError: the network cannot be exported.
    """
    fixed = fixed_size(params, graph.network)
    if fixed is None:
        n, h, w = (
            torch.export.Dim(name, min=1, max=top) for name, top in (("n", 64), ("h", 256), ("w", 256))
        )
        stride = graph.stride
        size = up_to_multiple(
            params.data.size, 2 * stride
        )  # one stride alone would be taken for a fixed size
        example = torch.zeros(2, *size, 3, dtype=torch.uint8)
        dynamic: dict[str, Any] | None = {"image": {0: n, 1: stride * h, 2: stride * w}}
    else:
        example, dynamic = torch.zeros(1, *fixed, 3, dtype=torch.uint8), None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), symbolic_rotary_embedding():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                (example,),
                path,
                input_names=["image"],
                output_names=["classes", "confidence", LOGITS],
                dynamic_shapes=dynamic,
                opset_version=params.export.opset,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        size = "dynamic height and width" if fixed is None else f"the fixed size {fixed[0]}x{fixed[1]}"
        raise UserError(
            f"network {params.network.architecture} over {params.network.encoder} cannot be exported with {size} "
            f"({first_line(error)}): choose another network.architecture"
        ) from None
    onnx.save(finished(onnx.load(path), graph.stride), path)


def finished(model: onnx.ModelProto, stride: int) -> onnx.ModelProto:
    """The exporter's model as it ships: the logits no output, IR as old as its opset, nodes named after their modules.

    What the exporter notes beside that, such as stack traces with this machine's paths, is dropped.
    """
    del model.graph.output[2]  # inside, the tensor keeps its name
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    _cast_first(model.graph)
    _name_size(model.graph, stride)
    for graph in _graphs(model.graph):
        for i, node in enumerate(graph.node):
            node.name = "/".join([*_module(node), f"{node.op_type}_{i}"])
    drop_notes(model.graph)
    onnx.checker.check_model(model)
    return model


def drop_notes(whole: onnx.GraphProto) -> None:
    """Delete what exporters and optimisers note beside nodes and tensors."""
    for graph in _graphs(whole):
        for item in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
            item.ClearField("metadata_props")
            item.ClearField("doc_string")


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and the bodies of its loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(attribute.g)


def _module(node: onnx.NodeProto) -> list[str]:
    """The innermost module of the network around a node, none for a node outside."""
    text = next((p.value for p in node.metadata_props if p.key == MODULE_KEY), "[]")
    modules = ast.literal_eval(text)[1:-1]  # the first is the graph itself, the last the operation
    return modules[-1:] if modules[:1] == [NETWORK] else []


def _cast_first(graph: onnx.GraphProto) -> None:
    """Ask the cast picture for its size, since TensorRT casts uint8 before all else."""
    cast = next(node for node in graph.node if node.op_type == "Cast" and node.input[0] == "image")
    others = [node for node in graph.node if node is not cast]
    for node in others:
        node.input[:] = [cast.output[0] if name == "image" else name for name in node.input]
    nodes = [cast, *others]
    del graph.node[:]
    graph.node.extend(nodes)


def _name_size(graph: onnx.GraphProto, stride: int) -> None:
    """Give `confidence` the input's `h` and `w` in place of the exporter's own symbols, there and inside."""
    (confidence,) = (output for output in graph.output if output.name == "confidence")
    symbols = {}
    for dim, side in zip(confidence.type.tensor_type.shape.dim[1:], ("h", "w"), strict=True):
        if dim.dim_param:
            symbols[dim.dim_param.rpartition("*")[2]] = side
            dim.dim_param = f"{stride // CONFIDENCE_STRIDE}*{side}"
    for value in graph.value_info:
        for dim in value.type.tensor_type.shape.dim:
            dim.dim_param = re.sub(r"\w+", lambda word: symbols.get(word[0], word[0]), dim.dim_param)


def symbolic_rotary_embedding() -> AbstractContextManager[object]:
    """Within it, timm's rotary position embeddings (DINOv3, EVA) keep the height and width symbolic.

    They divide by `float(size)`, which torch.export would write down as the number of the example picture.
    """
    return mock.patch.object(pos_embed_sincos, "float", torch.sym_float, create=True)


def first_line(error: Exception) -> str:
    """Of what a library says."""
    return str(error).strip().splitlines()[0]
