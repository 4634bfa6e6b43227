"""Does every network of the profiles export soundly? Before hours of training, with random weights.

`python -m pipeline.onnx.parity [PROFILE ...] [--pairs ARCHITECTURE/ENCODER ...]` exports each network, puts it
through the export's own gate, prints the table of docs/parity.md and writes metrics/parity.json.
Pictures are drawn (pipeline/data/scenes.py); what is fixed in size is tried at an eighth of its height and width.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from pipeline.data.scenes import draw_scene
from pipeline.edge.errors import UserError
from pipeline.edge.images import up_to_multiple
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.encoder_decoder import STRIDE, SegmentationNetwork
from pipeline.networks.hrda import Hrda
from pipeline.networks.normalise import normalise
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.sliding import as_evaluated, fixed_size
from pipeline.networks.windows import Size
from pipeline.onnx.gate import parity_batches, summary, verdicts
from pipeline.onnx.graph import export_graph
from pipeline.params import Params, load_params
from pipeline.run.files import write_json
from pipeline.run.machine import machine
from pipeline.run.stage import main_guard

SIZE = (128, 256)  # of networks that take any size; the gate adds 64 x 128 and 192 x 384
SHRINK = 8  # of the sizes of networks that slide windows


def run(pairs: dict[str, Params], out: Path) -> dict[str, Any]:
    """Try every pair; `out` is written after each, and its row is printed."""
    result: dict[str, Any] = {
        "weights": "random, seed 0",
        "versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
        | {"python": platform.python_version()},
        "hardware": machine("cpu"),
        "date": date.today().isoformat(),
        "pairs": {},
    }
    _print_row("network", _COLUMNS)
    _print_row("---", ["---"] * len(_COLUMNS))
    for name, params in pairs.items():
        started = time.perf_counter()
        try:
            row = try_pair(params)
        except UserError as error:
            row = {"opset": params.export.opset, "refused": str(error)}
        result["pairs"][name] = row | {"seconds": round(time.perf_counter() - started, 1)}
        write_json(out, result)
        _print_row(name, _cells(row))
    return result


def try_pair(params: Params) -> dict[str, Any]:
    """Build, export and compare one network.

    Raises:
        UserError: it cannot be built or exported, or fails in onnxruntime.
    """
    torch.manual_seed(0)
    network = build_segmenter(params.network, pretrained=False).eval()
    images = [draw_scene(0, i, "target", "night" if i % 2 else "fog", *SIZE).image for i in range(4)]
    batches = parity_batches(images, params.data.size, fixed_size(params, network), network.size_multiple)
    calibrate(network, torch.cat([normalise(torch.from_numpy(batch)) for batch in batches[:2]]))
    graph = EdgeGraph(as_evaluated(params, network))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_graph(graph, path, params)
        megabytes = path.stat().st_size / 1e6
        found = list(verdicts(graph, path, batches))
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "megabytes": round(megabytes, 1),
        "opset": params.export.opset,
        **summary(found),
        "refused": next((verdict.fault for verdict in found if verdict.fault), None),
    }


@torch.no_grad()
def calibrate(network: SegmentationNetwork, images: Tensor) -> None:
    """Random weights that hide no part of the network, where a fresh one would agree with anything.

    Residual branches often start at 0 or at 1e-6 times their value: every scale becomes 0.5 to 1.5, every bias
    N(0, 0.1). Batch norms take their running statistics from the pictures, so that no layer dies or explodes. The
    logits of each class get mean 0 and standard deviation 1 over the pictures, and HRDA's attention likewise, so that
    all classes occur and ties are rare; one class would otherwise win everywhere.
    """
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 and name.endswith("bias"):
            parameter.normal_(0, 0.1)
        elif parameter.ndim == 1:
            parameter.uniform_(0.5, 1.5)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the passes
        norm.train()
    network(images)
    network.eval()
    stages = network.encoder(images)
    network.segmentation_head = nn.Sequential(network.segmentation_head, _spread(network.decode(stages)))
    if isinstance(network, Hrda):
        network.attention = nn.Sequential(network.attention, _spread(network.attention(stages)))


def _spread(logits: Tensor) -> nn.Conv2d:
    """A convolution of each channel by itself that gives these logits (B, C, h, w) mean 0 and deviation 1."""
    channels = logits.shape[1]
    conv = nn.Conv2d(channels, channels, 1, groups=channels)
    deviation, mean = torch.std_mean(logits, dim=(0, 2, 3))
    conv.weight.copy_((1 / deviation).view(-1, 1, 1, 1))
    assert conv.bias is not None
    conv.bias.copy_(-mean / deviation)
    return conv


def profile_pairs(profiles: Iterable[Path]) -> dict[str, Params]:
    """name -> params at a small size: each network of the params files once, those that `distil` trains too."""
    pairs: dict[str, Params] = {}
    for path in profiles:
        params = load_params(path)
        for method in ("mic", "distil") if params.distil else ("mic",):
            small = reduced(params.for_method(method))
            slides = "sliding " if small.evaluate.mode == "sliding" else ""
            around = "HRDA " if small.network.hrda else "shrunk " if small.network.shrink > 1 else ""
            name = f"{slides}{around}{small.network.architecture}/{small.network.encoder}"
            if name in pairs and _shape(pairs[name]) != _shape(small):
                name = f"{name} ({path.stem})"
            pairs.setdefault(name, small)
    return pairs


def _shape(params: Params) -> dict[str, Any]:
    network = params.network.model_dump(include={"architecture", "encoder", "decoder", "hrda", "shrink"})
    windows = params.evaluate.model_dump(include={"mode", "window", "window_stride"})
    return network | windows


def named_pair(pair: str, base: Path) -> tuple[str, Params]:
    """`ARCHITECTURE/ENCODER` with the defaults of both, the rest from the params file `base`."""
    architecture, _, encoder = pair.partition("/")
    changes = {"network": {"architecture": architecture, "encoder": encoder}, "evaluate": {}}
    return pair, reduced(load_params(base, changes))


def reduced(params: Params) -> Params:
    """The same network, its windows and pictures small enough for two cores."""
    hrda, how = params.network.hrda, params.evaluate
    if hrda is None and how.mode == "whole":
        return params.model_copy(update={"data": params.data.model_copy(update={"size": SIZE})})
    multiple = STRIDE * params.network.shrink * (1 if hrda is None else round(1 / hrda.scale))

    def eighth(size: Size) -> Size:
        return up_to_multiple((size[0] // SHRINK, size[1] // SHRINK), multiple)

    if hrda is not None:
        hrda = hrda.model_copy(update={"detail": eighth(hrda.detail)})
    if how.window is not None and how.window_stride is not None:
        windows = {"window": eighth(how.window), "window_stride": eighth(how.window_stride)}
        how = how.model_copy(update=windows)
    small = (params.data.size[0] // SHRINK, params.data.size[1] // SHRINK)
    return params.model_copy(
        update={
            "data": params.data.model_copy(update={"size": small}),
            "network": params.network.model_copy(update={"hrda": hrda}),
            "evaluate": how,
        }
    )


_COLUMNS = [
    "weights",
    "ONNX",
    "shapes",
    "logits differ by",
    "may differ by",
    "torch's own error",
    "ties",
    "ties swapped",
    "verdict",
]


def _cells(row: dict[str, Any]) -> list[str]:
    verdict = f"refused: {row['refused']}" if row["refused"] else "exports"
    if "shapes" not in row:
        return ["", "", "", "", "", "", "", "", verdict]
    return [
        f"{row['parameters'] / 1e6:.1f} M",
        f"{row['megabytes']:.0f} MB",
        str(len(row["shapes"])),
        f"{row['logit_error']:.0e}",
        f"{row['logit_bound']:.0e}",
        f"{row['torch_error']:.0e}",
        f"{100 * row['ties'] / row['pixels']:.3f} %",
        str(row["ties_swapped"]),
        verdict,
    ]


def _print_row(name: str, cells: Sequence[str]) -> None:
    print("| " + " | ".join([name, *cells]) + " |", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.onnx.parity [PROFILE ...] [--pairs ARCHITECTURE/ENCODER ...]`."""
    parser = argparse.ArgumentParser(description="Try the ONNX export of networks with random weights.")
    parser.add_argument(
        "profiles", type=Path, nargs="*", help="params files (default: params.yaml and profiles/*.yaml)"
    )
    parser.add_argument(
        "--pairs",
        nargs="+",
        metavar="ARCHITECTURE/ENCODER",
        help="these networks instead, with their defaults",
    )
    args = parser.parse_args(argv)
    profiles = args.profiles or [Path("params.yaml"), *sorted(Path("profiles").glob("*.yaml"))]
    pairs = dict(named_pair(p, profiles[0]) for p in args.pairs) if args.pairs else profile_pairs(profiles)
    result = run(pairs, Path("metrics") / "parity.json")
    refused = [name for name, row in result["pairs"].items() if row["refused"]]
    print(f"{len(pairs) - len(refused)} of {len(pairs)} export; metrics/parity.json", file=sys.stderr)
    return 0


if __name__ == "__main__":
    main_guard(main)
