"""Stage `export`: the trained student as one self-contained .onnx file, proven equal to torch before it is kept.

`python -m pipeline.export --method mic` writes models/mic.onnx and its manifest models/mic.json.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import os
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from rich.console import Console
from torch import nn

from pipeline.data.index import Record, of_split, read_index
from pipeline.data.pictures import read_picture
from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import UserError
from pipeline.edge.images import resize_image
from pipeline.edge.manifest import METADATA_KEY, SCHEMA_VERSION, Manifest
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.encoder_decoder import STRIDE
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.weights import load_weights
from pipeline.params import Params, fingerprint, load_params
from pipeline.stage import main_guard, stage_arguments
from pipeline.variants.graph import keep_module_names
from pipeline.workspace import Workspace

PARITY_IMAGES = 4
INTENDED_USE = "Judging how a street segmenter adapts to new conditions; not for steering a vehicle."
KNOWN_FAILURES = (
    "Classes that never occur in the source labels are never predicted reliably.",
    "Thin and far objects are lost at the training size.",
)


def run(params: Params, workspace: Workspace, method: str) -> Manifest:
    """Export, check against torch, and write the model and its manifest.

    Raises:
        UserError: the weights are missing, the network cannot be exported, or it differs from torch.
    """
    if params.network.hrda is not None:
        raise UserError(
            "network.hrda slides windows over the picture, which one .onnx file for every height and width cannot do "
            "yet: train with network.hrda: null to export"
        )
    network = build_segmenter(params.network, pretrained=False)
    load_weights(network, workspace.weights(method))
    graph = EdgeGraph(network)
    records = {d: read_index(workspace.index(d)) for d in ("source", "target")}
    final = workspace.onnx(method)
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=f".{method}.") as folder:
        beside = Path(folder) / final.name
        export_graph(graph, beside, params)
        parity = check_parity(graph, beside, params, [*records["target"], *records["source"]])
        manifest = build_manifest(params, workspace, method, network, records, parity)
        checked = finish(beside, manifest, final)
    Console(stderr=True).print(
        f"{final}: {final.stat().st_size / 1e6:.1f} MB, agrees with torch on "
        f"{100 * parity['agreement_min']:.4f} % of the pixels at worst"
    )
    return checked


def finish(beside: Path, manifest: dict[str, Any], final: Path) -> Manifest:
    """Give the .onnx file `beside` its hash and manifest, and put it and the .json in place as `final`."""
    model = onnx.load(beside)
    keep_module_names(model)
    manifest["hashes"]["onnx"] = graph_hash(model)
    checked = Manifest.from_dict(manifest, str(final))
    onnx.helper.set_model_props(model, {METADATA_KEY: checked.to_json()})
    onnx.save(model, beside)
    json_beside = beside.with_suffix(".json")
    json_beside.write_text(checked.to_json(), encoding="utf-8")
    os.replace(beside, final)
    os.replace(json_beside, final.with_suffix(".json"))
    return checked


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


def build_manifest(
    params: Params,
    workspace: Workspace,
    method: str,
    network: nn.Module,
    records: dict[str, list[Record]],
    parity: dict[str, Any],
) -> dict[str, Any]:
    """Everything the file says about itself."""
    metrics_path = workspace.metrics(method)
    if not metrics_path.exists():
        raise UserError(
            f"{metrics_path} does not exist: run `python -m pipeline.evaluate --method {method}` first"
        )
    metrics = json.loads(metrics_path.read_text(encoding="utf-8"))
    export = params.export
    return {
        "schema_version": SCHEMA_VERSION,
        "name": method,
        "method": method,
        "seed": params.seed,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "network": {
            "architecture": params.network.architecture,
            "encoder": params.network.encoder,
            "parameters": sum(p.numel() for p in network.parameters()),
            "training_steps": params.train.steps,
        },
        "classes": [
            {"id": c.id, "name": c.name, "rgb": list(c.rgb), "safe_rgb": list(c.safe_rgb)} for c in CLASSES
        ],
        "trained_classes": trained_classes(records["source"]),
        "input": {
            "name": "image",
            "layout": "NHWC",
            "dtype": "uint8",
            "colour": "RGB",
            "stride": STRIDE,
            "training_size": list(params.data.size),
            "fixed_size": None,
            "resize": "bilinear, aspect kept",
            "pad": "bottom and right, mean colour (124,116,104)",
        },
        "output": {
            "classes": "uint8 [N,H,W]",
            "confidence": "uint8 [N,H/4,W/4], round(255*max softmax)",
        },
        "metrics": {d: metrics[d] if metrics[d]["miou"] is not None else None for d in ("source", "target")},
        "conditions": sorted({r.condition for r in records["target"]}),
        "parity": parity,
        "quantisation": None,
        "hashes": {
            "onnx": None,
            "params": fingerprint(params),
            "data_index": fingerprint(*(workspace.index(d).read_text() for d in ("source", "target"))),
            "git_commit": _git_commit(),
        },
        "licences": {
            "code": "Apache-2.0",
            "weights": params.network.licence,
            "data": list(export.data_licences),
        },
        "intended_use": export.intended_use or INTENDED_USE,
        "known_failures": list(export.known_failures or KNOWN_FAILURES),
    }


def trained_classes(source: Sequence[Record]) -> list[int]:
    """Ids with at least one labelled pixel in the source training pictures."""
    counts = [record.pixels for record in of_split(list(source), "train") if record.pixels is not None]
    return [int(i) for i in np.flatnonzero(np.sum(counts, axis=0))]


def graph_hash(model: onnx.ModelProto) -> str:
    """sha256 of the file as it is without its manifest, which cannot hold its own hash."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    onnx.helper.set_model_props(bare, {METADATA_KEY: ""})
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def _up_to_stride(pixels: float) -> int:
    return max(1, -(-round(pixels) // STRIDE)) * STRIDE


def _git_commit() -> str | None:
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.export --method M [--params FILE]`."""
    args = stage_arguments("Export one method's network to ONNX.", with_method=True).parse_args(argv)
    run(load_params(args.params), Workspace(), args.method)
    return 0


if __name__ == "__main__":
    main_guard(main)
