"""Stage `export`: the trained student as one self-contained .onnx file, held to torch in float64 before it is kept.

`python -m pipeline.export --method mic` writes models/mic.onnx and its manifest models/mic.json;
`python -m pipeline.export --triton DIR` the finished files of all methods as a Triton model repository.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.console import Console

from pipeline.data.index import Record, of_split, read_index
from pipeline.data.pictures import read_picture
from pipeline.edge.checksum import graph_sha256, manifest_sha256
from pipeline.edge.classes import CLASSES
from pipeline.edge.manifest import METADATA_KEY, SCHEMA_VERSION, Manifest
from pipeline.edge.sample import sample_entry, sample_pixels
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.encoder_decoder import SegmentationNetwork
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.sliding import as_evaluated, fixed_size
from pipeline.networks.weights import load_weights
from pipeline.onnx.gate import MOST, check_parity, onnx_answers
from pipeline.onnx.graph import export_graph
from pipeline.onnx.triton import write_repository
from pipeline.params import METHODS, Params, fingerprint, load_params
from pipeline.run.files import read_json
from pipeline.run.lock import alone
from pipeline.run.stage import main_guard, stage_arguments
from pipeline.run.workspace import Workspace

SAMPLE_AGREEMENT = 0.99  # of the pixels that are no ties: int8 saturates on old CPUs
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
    params = params.for_method(method)
    network = build_segmenter(params.network, pretrained=False)
    load_weights(network, workspace.shipped(method, params.ship))
    graph = EdgeGraph(as_evaluated(params, network))
    records = {d: read_index(workspace.index(d)) for d in ("source", "target")}
    final = workspace.onnx(method)
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=f".{method}.") as folder:
        beside = Path(folder) / final.name
        export_graph(graph, beside, params)
        parity = check_parity(graph, beside, params, [*records["target"], *records["source"]])
        manifest = build_manifest(params, workspace, method, network, records, parity)
        checked = finish(beside, manifest, final, sample_picture(params, records["target"]))
    Console(stderr=True).print(
        f"{final}: {final.stat().st_size / 1e6:.1f} MB, logits within {parity['logit_error']} of torch in float64 (may "
        f"be {parity['logit_bound']}), {parity['ties_swapped']} of {parity['ties']} ties swapped"
    )
    return checked


def finish(beside: Path, manifest: dict[str, Any], final: Path, picture: np.ndarray) -> Manifest:
    """Give the .onnx file `beside` its manifest and put it and the .json in place as `final`.

    The file is hashed as it is but for the manifest, which holds the hash and the file's own answer to `picture`,
    uint8 (H, W, 3), for `mic-edge verify`.
    """
    model = onnx.load(beside)
    onnx.helper.set_model_props(model, {METADATA_KEY: ""})
    onnx.save(model, beside)
    manifest["hashes"]["onnx"] = graph_sha256(beside)
    stride, fixed = manifest["input"]["stride"], manifest["input"]["fixed_size"]
    manifest["sample"] = record_sample(beside, sample_pixels(picture, stride, fixed and tuple(fixed)))
    manifest["hashes"]["manifest"] = manifest_sha256(manifest)
    checked = Manifest.from_dict(manifest, str(final))
    onnx.helper.set_model_props(model, {METADATA_KEY: checked.to_json()})
    onnx.save(model, beside)
    json_beside = beside.with_suffix(".json")
    json_beside.write_text(checked.to_json(), encoding="utf-8")
    os.replace(beside, final)
    os.replace(json_beside, final.with_suffix(".json"))
    return checked


def build_manifest(
    params: Params,
    workspace: Workspace,
    method: str,
    network: SegmentationNetwork,
    records: dict[str, list[Record]],
    parity: dict[str, Any],
) -> dict[str, Any]:
    """Everything the file says about itself."""
    metrics = read_json(workspace.metrics(method), f"python -m pipeline.evaluate --method {method}")
    export, how, fixed = params.export, params.evaluate, fixed_size(params, network)
    slides = how.mode == "sliding"
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
            "ships": params.ship,
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
            "stride": network.size_multiple,
            "training_size": list(params.data.size),
            "fixed_size": list(fixed) if fixed else None,
            "resize": "bilinear, aspect kept",
            "pad": "bottom and right, mean colour (124,116,104)",
        },
        "output": {
            "classes": "uint8 [N,H,W]",
            "confidence": "uint8 [N,H/4,W/4], round(255*max softmax)",
        },
        "inference": {
            "mode": how.mode,
            "window": list(how.window) if slides and how.window else None,
            "window_stride": list(how.window_stride) if slides and how.window_stride else None,
        },
        "metrics": {d: metrics[d] if metrics[d]["miou"] is not None else None for d in ("source", "target")},
        "source_format": params.data.source.format,
        "conditions": sorted({r.condition for r in records["target"]}),
        "parity": parity,
        "quantisation": None,
        "hashes": {
            "onnx": None,
            "manifest": None,
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


def sample_picture(params: Params, target: Sequence[Record]) -> np.ndarray:
    """The picture that models are verified by: export.sample, or the first of the target."""
    return read_picture(params.export.sample or [*of_split(list(target), "val"), *target][0].image)


def record_sample(path: Path, pixels: np.ndarray) -> dict[str, Any]:
    """The parity sample: `pixels`, uint8 (H, W, 3), and the file's own answer to them."""
    classes, confidence, logits = (values[0] for values in onnx_answers(path)(pixels[None]))
    return sample_entry(pixels, classes, confidence, close_calls(logits), SAMPLE_AGREEMENT)


def close_calls(logits: np.ndarray) -> np.ndarray:
    """Pixels, bool (H, W), of logits (C, H, W) whose two highest are as near as rounding may bring them."""
    second, first = np.partition(logits, -2, axis=0)[-2:]
    return first - second <= 2 * MOST * np.abs(logits).max()


def _git_commit() -> str | None:
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.export --method M | --triton DIR [--params FILE]`."""
    parser = stage_arguments("Export one method's network to ONNX.", with_method=False)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--method", choices=METHODS, help="training method")
    what.add_argument("--triton", type=Path, metavar="DIR", help="write what is exported for Triton")
    args = parser.parse_args(argv)
    params = load_params(args.params)
    if args.method:
        with alone(Workspace(), f"export {args.method}"):
            run(params, Workspace(), args.method)
    else:
        names = write_repository(params, Workspace(), args.triton)
        Console(stderr=True, soft_wrap=True).print(f"{args.triton}: {', '.join(names)}", highlight=False)
    return 0


if __name__ == "__main__":
    main_guard(main)
