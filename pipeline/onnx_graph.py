"""The ONNX graph of a network."""

from __future__ import annotations

import logging
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import onnx
import torch
from timm.layers import pos_embed_sincos

from pipeline.edge.errors import UserError
from pipeline.edge.images import up_to_multiple
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.sliding import fixed_size
from pipeline.params import Params

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
    model = onnx.load(path)
    del model.graph.output[2]  # inside, the tensor keeps its name
    onnx.save(model, path)


def symbolic_rotary_embedding() -> AbstractContextManager[object]:
    """Within it, timm's rotary position embeddings (DINOv3, EVA) keep the height and width symbolic.

    They divide by `float(size)`, which torch.export would write down as the number of the example picture.
    """
    return mock.patch.object(pos_embed_sincos, "float", torch.sym_float, create=True)


def first_line(error: Exception) -> str:
    """Of what a library says."""
    return str(error).strip().splitlines()[0]
