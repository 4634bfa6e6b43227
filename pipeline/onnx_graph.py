"""The ONNX graph of a network, and the gate that holds it equal to torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import UserError
from pipeline.edge.images import resize_image
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.encoder_decoder import STRIDE
from pipeline.params import Params

PARITY_IMAGES = 4


def export_graph(graph: EdgeGraph, path: Path, params: Params) -> None:
    """Write the ONNX graph with N free and H, W free multiples of the stride."""
    n, h, w = (torch.export.Dim(name, min=1, max=top) for name, top in (("n", 64), ("h", 256), ("w", 256)))
    example = torch.zeros(2, *(_up_to_stride(s) for s in params.data.size), 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                (example,),
                path,
                input_names=["image"],
                output_names=["classes", "confidence"],
                dynamic_shapes={"image": {0: n, 1: STRIDE * h, 2: STRIDE * w}},
                opset_version=params.export.opset,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise UserError(
            f"network {params.network.architecture} over {params.network.encoder} cannot be exported with dynamic "
            f"height and width ({str(error).strip().splitlines()[0]}): choose another network.architecture"
        ) from None


def check_parity(graph: EdgeGraph, path: Path, params: Params, records: Sequence[Record]) -> dict[str, Any]:
    """Compare torch and onnxruntime on real pictures at three shapes, batch 1 and 2.

    Raises:
        UserError: they agree on fewer pixels than export.parity_agreement somewhere.
    """
    picked = [records[i] for i in np.linspace(0, len(records) - 1, PARITY_IMAGES).round().astype(int)]
    images = [read_picture(r.image) for r in picked]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shapes, worst, worst_confidence = [], 1.0, 0
    for scale in (1.0, 0.75, 1.5):
        height, width = (_up_to_stride(s * scale) for s in params.data.size)
        for batch in (1, 2):
            shapes.append([batch, height, width])
            resized = np.stack([resize_image(image, (height, width)) for image in images])
            for first in range(0, len(resized), batch):
                pixels = resized[first : first + batch]
                with torch.inference_mode():
                    classes, confidence = (t.numpy() for t in graph(torch.from_numpy(pixels)))
                answer = session.run(["classes", "confidence"], {"image": pixels})
                onnx_classes, onnx_confidence = (np.asarray(a) for a in answer)
                if onnx_classes.shape != classes.shape or onnx_confidence.shape != confidence.shape:
                    raise UserError(
                        f"{path.name}: shapes differ from torch at {shapes[-1]}: choose another network"
                    )
                agreement = float((classes == onnx_classes).mean())
                worst = min(worst, agreement)
                difference = np.abs(confidence.astype(int) - onnx_confidence.astype(int)).max()
                worst_confidence = max(worst_confidence, int(difference))
                if agreement < params.export.parity_agreement:
                    raise UserError(
                        f"{path.name}: torch and ONNX agree on {agreement:.6f} of the pixels at batch {batch}, "
                        f"{height}x{width}, below export.parity_agreement {params.export.parity_agreement}: "
                        f"{params.network.architecture} does not export soundly, choose another network.architecture"
                    )
    return {
        "agreement_min": worst,
        "confidence_difference_max": worst_confidence,
        "shapes": shapes,
        "images": len(images),
        "opset": params.export.opset,
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
    }


def _up_to_stride(pixels: float) -> int:
    return max(1, -(-round(pixels) // STRIDE)) * STRIDE
