"""Which module of the network each node of an exported graph comes from."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx

from pipeline.edge.errors import BadModel
from pipeline.onnx.graph import NETWORK

ModulePath = tuple[str, ...]
"""Names of the modules around a node, outermost first: ("network", "network.encoder", ...)."""


def module_path(node: onnx.NodeProto) -> ModulePath:
    """The modules around a node, by its name; () for a node outside the network."""
    parts = node.name.rpartition("/")[0].split(".")
    return tuple(".".join(parts[: i + 1]) for i in range(len(parts))) if parts[0] == NETWORK else ()


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
