"""The ONNX graph of a network, and the gate that holds it equal to torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
import torch
from timm.layers import pos_embed_sincos

from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import UserError
from pipeline.edge.images import fit_size, pad_to_size, resize_image, up_to_multiple
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.sliding import fixed_size
from pipeline.networks.windows import Size
from pipeline.params import Params

PARITY_IMAGES = 4


@dataclass(frozen=True)
class Difference:
    """How far ONNX is from torch on one batch."""

    shape: list[int]  # [N, H, W]
    same: np.ndarray  # bool (N, H, W): one class in both
    confidence: int  # largest difference, in 1/255


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
                output_names=["classes", "confidence"],
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
            f"({_first_line(error)}): choose another network.architecture"
        ) from None


def symbolic_rotary_embedding() -> AbstractContextManager[object]:
    """Within it, timm's rotary position embeddings (DINOv3, EVA) keep the height and width symbolic.

    They divide by `float(size)`, which torch.export would write down as the number of the example picture.
    """
    return mock.patch.object(pos_embed_sincos, "float", torch.sym_float, create=True)


def check_parity(graph: EdgeGraph, path: Path, params: Params, records: Sequence[Record]) -> dict[str, Any]:
    """Compare torch and onnxruntime on real pictures, in all the shapes of `parity_batches`.

    Raises:
        UserError: they agree on fewer pixels than export.parity_agreement somewhere, or ONNX fails.
    """
    picked = [records[i] for i in np.linspace(0, len(records) - 1, PARITY_IMAGES).round().astype(int)]
    images = [read_picture(record.image) for record in picked]
    batches = parity_batches(images, params.data.size, fixed_size(params, graph.network), graph.stride)
    shapes, worst, worst_confidence = [], 1.0, 0
    for difference in differences(graph, path, batches):
        batch, height, width = difference.shape
        agreement = float(difference.same.mean())
        if agreement < params.export.parity_agreement:
            raise UserError(
                f"{path.name}: torch and ONNX agree on {agreement:.6f} of the pixels at batch {batch}, "
                f"{height}x{width}, below export.parity_agreement {params.export.parity_agreement}: "
                f"{params.network.architecture} does not export soundly, choose another network.architecture"
            )
        worst, worst_confidence = min(worst, agreement), max(worst_confidence, difference.confidence)
        if difference.shape not in shapes:
            shapes.append(difference.shape)
    return {
        "agreement_min": worst,
        "confidence_difference_max": worst_confidence,
        "shapes": shapes,
        "images": len(picked),
        "opset": params.export.opset,
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
    }


def parity_batches(
    images: Sequence[np.ndarray], size: Size, fixed: Size | None, stride: int
) -> list[np.ndarray]:
    """The pictures as uint8 (N, H, W, 3) at three shapes and batch 1 and 2, or one by one at the fixed size."""
    if fixed is not None:
        return [_fitted(image, size, fixed)[None] for image in images]
    batches = []
    for scale in (1.0, 0.5, 1.5):
        shape = up_to_multiple((round(size[0] * scale), round(size[1] * scale)), stride)
        resized = np.stack([resize_image(image, shape) for image in images])
        batches += [resized[i : i + n] for n in (1, 2) for i in range(0, len(resized), n)]
    return batches


def differences(graph: EdgeGraph, path: Path, batches: Sequence[np.ndarray]) -> Iterator[Difference]:
    """Run torch and onnxruntime on each batch.

    Raises:
        UserError: torch or onnxruntime fails, or their outputs have other shapes.
    """
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a type for each kind of failure
        raise UserError(
            f"{path.name}: onnxruntime does not load it ({_first_line(error)}): choose another network"
        ) from None
    for pixels in batches:
        shape = list(pixels.shape[:3])
        try:
            with torch.inference_mode():
                classes, confidence = (t.numpy() for t in graph(torch.from_numpy(pixels)))
        except RuntimeError as error:  # such as a pooling that leaves nothing of a small picture
            raise UserError(
                f"{path.name}: torch itself fails at {shape} ({_first_line(error)}): choose another network"
            ) from None
        try:
            found = session.run(["classes", "confidence"], {"image": pixels})
        except Exception as error:
            raise UserError(
                f"{path.name}: onnxruntime fails at {shape} ({_first_line(error)}): choose another network"
            ) from None
        onnx_classes, onnx_confidence = (np.asarray(output) for output in found)
        if onnx_classes.shape != classes.shape or onnx_confidence.shape != confidence.shape:
            raise UserError(f"{path.name}: shapes differ from torch at {shape}: choose another network")
        furthest = np.abs(confidence.astype(int) - onnx_confidence.astype(int)).max()
        yield Difference(shape, classes == onnx_classes, int(furthest))


def _fitted(image: np.ndarray, size: Size, fixed: Size) -> np.ndarray:
    return pad_to_size(resize_image(image, fit_size(image.shape[0], image.shape[1], size, fixed)), fixed)[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
