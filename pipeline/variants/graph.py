"""Which module of the network each node of an exported graph comes from."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

import onnx

from pipeline.edge.errors import BadModel

MODULE_KEY = "pkg.torch.onnx.name_scopes"  # torch's exporter writes "['', 'network', 'network.encoder', ..., 'conv2d']"
NETWORK = "network"  # EdgeGraph's attribute: what lies outside is normalisation, the last resize, argmax and softmax

ModulePath = tuple[str, ...]
"""Names of the modules around a node, outermost first: ("network", "network.encoder", ...)."""


def keep_module_names(model: onnx.ModelProto) -> None:
    """Drop everything that the exporter notes on nodes, such as stack traces with this machine's paths, but those."""
    graph = model.graph
    for item in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        kept = [(p.key, p.value) for p in item.metadata_props if p.key == MODULE_KEY]
        del item.metadata_props[:]
        for key, value in kept:
            item.metadata_props.add(key=key, value=value)


def module_path(node: onnx.NodeProto) -> ModulePath:
    """The modules around a node; () for a node outside the network."""
    text = next((p.value for p in node.metadata_props if p.key == MODULE_KEY), "[]")
    modules = tuple(ast.literal_eval(text)[1:-1])  # the first is the graph itself, the last the operation
    return modules if modules[:1] == (NETWORK,) else ()


def network_nodes(model: onnx.ModelProto, where: str) -> dict[str, ModulePath]:
    """Name -> module path of every node inside the network, in graph order; raises BadModel where none says so."""
    found = {node.name: path for node in model.graph.node if (path := module_path(node))}
    if not found:
        raise BadModel(f"{where}: its nodes do not name the network's modules; export it again.")
    return found


def modules_of(paths: Mapping[str, ModulePath], counted: Collection[str], most: int) -> dict[str, str]:
    """Node -> module: the network taken apart, the module with most `counted` nodes first, into at most `most`."""
    cut, level, counted = {NETWORK: list(paths)}, {NETWORK: 0}, frozenset(counted)

    def weight(module: str) -> int:
        return sum(name in counted for name in cut[module])

    def parts(module: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in cut[module]:
            found.setdefault(paths[name][min(level[module] + 1, len(paths[name]) - 1)], []).append(name)
        return found

    while True:
        room = most - sum(weight(module) > 0 for module in cut)
        for module in sorted(cut, key=weight, reverse=True):
            finer = parts(module)
            grown = sum(any(name in counted for name in names) for names in finer.values()) - (
                weight(module) > 0
            )
            if set(finer) != {module} and grown <= room:
                break
        else:
            return {name: module for module, names in cut.items() for name in names}
        level |= dict.fromkeys(finer, level[module] + 1)
        del cut[module]
        cut |= finer
