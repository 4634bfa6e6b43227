"""Parts of the variants: which modules stay in float, how a graph is taken apart, what the table says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.edge.errors import BadModel
from pipeline.onnx.variants.graph import (
    ModulePath,
    module_path,
    modules_of,
    network_nodes,
)
from pipeline.onnx.variants.int8 import modules_in_float
from pipeline.onnx.variants.table import compared, recommended

HARM = {"stem": 5.0, "body": 1.0, "neck": 3.0, "head": 0.5}  # what each loses in int8


def search(allowed: float, asked: list[tuple[str, ...]] | None = None) -> tuple[str, ...] | None:
    def loss(in_float: Sequence[str]) -> float:
        return sum(harm for module, harm in HARM.items() if module not in in_float)

    def holds(in_float: tuple[str, ...]) -> bool:
        if asked is not None:
            asked.append(in_float)
        return loss(in_float) <= allowed

    return modules_in_float(tuple(HARM), holds, lambda module: 100 - loss([module]))


@pytest.mark.parametrize(
    ("allowed", "in_float"),
    [
        (10, ()),
        (9, ("stem",)),
        (4.5, ("stem",)),
        (2, ("stem", "neck")),
        (0.5, ("stem", "neck", "body")),
        (0.4, None),  # all in float would be no int8 file
    ],
)
def test_the_fewest_most_sensitive_modules_stay_in_float(
    allowed: float, in_float: tuple[str, ...] | None
) -> None:
    assert search(allowed) == in_float


def test_sensitivity_is_not_asked_for_where_int8_holds_as_it_is() -> None:
    asked: list[tuple[str, ...]] = []
    assert search(100, asked) == ()
    assert asked == [()]


def node(name: str) -> onnx.NodeProto:
    return helper.make_node("Relu", [f"{name}_in"], [f"{name}_out"], name=name)


def model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    one = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1])
    return helper.make_model(helper.make_graph(nodes, "g", [one], []))


ENCODER = ("network", "network.encoder")


def test_nodes_know_their_modules() -> None:
    inside, tail = node("network.encoder/Relu_7"), node("Relu_8")
    assert module_path(inside) == ENCODER
    assert module_path(tail) == ()
    assert module_path(node("networks/Relu_9")) == ()
    assert module_path(node("")) == ()
    assert network_nodes(model(inside, tail), "m.onnx") == {"network.encoder/Relu_7": ENCODER}
    with pytest.raises(
        BadModel, match=r"m\.onnx: its nodes do not name the network's modules; export it again"
    ):
        network_nodes(model(tail), "m.onnx")


def test_a_network_is_taken_apart_where_most_weights_are() -> None:
    paths: dict[str, ModulePath] = {"head": ("network", "network.head")}
    for stage in range(3):
        for layer in range(4):
            name = f"s{stage}{layer}"
            paths[name] = (*ENCODER, f"network.encoder.{stage}", f"network.encoder.{stage}.{layer}")
    paths["shape"] = ENCODER  # a node without weights, beside the stages
    weighted = [name for name in paths if name != "shape"]

    def modules(most: int) -> set[str]:
        cut = modules_of(paths, weighted, most)
        assert set(cut) == set(paths)
        return {cut[name] for name in weighted}

    stages = {f"network.encoder.{stage}" for stage in range(3)}
    assert modules(1) == {"network"}
    assert modules(2) == modules(3) == {"network.encoder", "network.head"}
    assert modules(4) == modules(6) == stages | {"network.head"}
    assert len(modules(7)) == 7
    assert len(modules(100)) == 13


def row(
    name: str, precision: str, milliseconds: float | None, provider: str | None = "cpu"
) -> dict[str, Any]:
    return {
        "file": f"{name}.onnx", "precision": precision, "p50_ms": milliseconds, "provider": provider,
        "agreement": 0.999, "note": "" if precision == "fp32" else f"{name}'s note",
    }  # fmt: skip


def test_times_are_compared_in_words() -> None:
    assert compared(100, 104, "mic") == "as fast as mic here"
    assert compared(50, 100, "mic") == "2.00 times as fast as mic here"
    assert compared(150, 100, "mic") == "slower: takes 1.50 times as long as mic here"


def test_the_fastest_file_of_any_size_is_recommended() -> None:
    fp32, fixed = row("mic", "fp32", 100), row("mic.fixed", "fp32, fixed size", 10)
    half = row("mic.fp16", "fp16", 150)
    chosen = recommended([fp32, row("mic.int8", "int8", 60), half, fixed])
    assert (chosen["cpu"], chosen["gpu"]) == ("mic.int8", "mic.fp16")
    assert chosen["reason"] == (
        "CPU: mic.int8's note; GPU: half the bytes, 99.90 % of the classes as in fp32; no GPU here to time it"
    )
    slower = recommended([fp32, row("mic.int8", "int8", 95), half, fixed])
    assert slower["cpu"] == "mic", "within noise, the exact file"
    refused = recommended(
        [fp32, row("mic.int8", "int8", None, None), row("mic.fp16", "fp16", None, None), fixed]
    )
    assert (refused["cpu"], refused["gpu"]) == ("mic", "mic")
    assert refused["reason"].endswith("GPU: no fp16 file")


def test_a_gpu_that_is_here_is_measured() -> None:
    rows = [row("mic", "fp32", 100), row("mic.fp16", "fp16", 150), row("mic", "fp32", 9, "cuda")]
    assert recommended([*rows, row("mic.fp16", "fp16", 5, "cuda")])["gpu"] == "mic.fp16"
    slower = recommended([*rows, row("mic.fp16", "fp16", 12, "cuda")])
    assert slower["gpu"] == "mic"
    assert slower["reason"].endswith("GPU: no other file is faster than mic here (9 ms)")
