"""Inference: what evaluation adds to the time of the network, and the .onnx file against torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipeline.bench.row import Row, medians_in_turn, seconds
from pipeline.data.index import read_index
from pipeline.data.pictures import read_picture
from pipeline.edge.images import resize_image
from pipeline.edge.providers import cores
from pipeline.edge.runtime import Prepared, Segmenter
from pipeline.evaluate import target_pictures, trained_network
from pipeline.evaluation.inference import predict_as
from pipeline.evaluation.scoring import score_pictures
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.sliding import as_evaluated
from pipeline.params import Params
from pipeline.run.machine import keep_freed_memory
from pipeline.run.workspace import Workspace

PICTURES = 20
ROUNDS = 5
ONNX_SIZE = (512, 1024)


def rows(params: Params, workspace: Workspace) -> list[Row]:
    """onnxruntime against torch as it comes, then evaluation, which sets its process's memory as the stage does."""
    return [onnx_against_torch(params, workspace), evaluation(params, workspace)]


def evaluation(params: Params, workspace: Workspace) -> Row:
    """Scoring pictures from disk against the network alone on the same tensors."""
    keep_freed_memory()
    method, device = params.methods[-1], torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = trained_network(params, workspace.shipped(method, params.ship), method, device)
    records = target_pictures(read_index(workspace.index("target")))[:PICTURES]
    inputs: list[Tensor] = []

    def kept(images: Tensor) -> Tensor:
        inputs.append(images)
        return network(images)

    kept.size_multiple = network.size_multiple  # type: ignore[attr-defined]
    for record in records:
        predict_as(params, kept, read_picture(record.image), device)

    def alone() -> None:
        with torch.inference_mode():
            for images in inputs:
                network(images)

    whole, bare = medians_in_turn(
        lambda: seconds(lambda: score_pictures(network, records, params, device, method)),
        lambda: seconds(alone),
        ROUNDS,
    )
    detail = f"{len(records)} pictures scored {1000 * whole:.0f} ms, network alone {1000 * bare:.0f} ms ({device.type})"
    return Row("evaluate", whole / bare, 1.15, detail)


def onnx_against_torch(params: Params, workspace: Workspace) -> Row:
    """The exported file in onnxruntime against the network that it was exported from, on as many CPU threads."""
    method, threads = params.methods[-1], cores()
    model = Segmenter(workspace.onnx(method), threads=threads)
    record = target_pictures(read_index(workspace.index("target")))[0]
    pixels = resize_image(read_picture(record.image), ONNX_SIZE)[None]
    prepared = Prepared(pixels, ONNX_SIZE, ONNX_SIZE, 0.0)
    eager = torch_eager(params, workspace, method, pixels)
    torch_seconds, onnx_seconds = medians_in_turn(eager, lambda: seconds(lambda: model.run(prepared)), ROUNDS)
    detail = (
        f"{method} at {ONNX_SIZE[0]}x{ONNX_SIZE[1]}, {threads} CPU threads: torch eager (channels last) "
        f"{1000 * torch_seconds:.0f} ms, onnxruntime {1000 * onnx_seconds:.0f} ms"
    )
    return Row("onnx_vs_torch", torch_seconds / onnx_seconds, 1.8, detail, at_least=True)


def torch_eager(params: Params, workspace: Workspace, method: str, pixels: np.ndarray) -> Callable[[], float]:
    """Seconds of the graph that `method` exports, in torch on all CPU cores; `pixels` uint8 (N, H, W, 3)."""
    params = params.for_method(method)
    network = trained_network(params, workspace.shipped(method, params.ship), method, torch.device("cpu"))
    graph, image = EdgeGraph(as_evaluated(params, network)), torch.from_numpy(pixels)

    @torch.inference_mode()
    def run() -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(cores())
        taken = seconds(lambda: graph(image))
        torch.set_num_threads(before)
        return taken

    return run
