"""`mic-edge info`: what a model says of itself, for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.edge.manifest import Manifest


def describe(manifest: Manifest, path: Path) -> str:
    """Some thirty lines: network, conditions, input rule, scores, hashes, licences, known failures."""
    raw = manifest.raw
    height, width = manifest.training_size
    shape = f"[N, H, W, 3] RGB, H and W multiples of {manifest.stride}"
    if manifest.fixed_size is not None:
        shape = "[1, {}, {}, 3] RGB, no other size".format(*manifest.fixed_size)
    network = manifest.network
    parameters = f"{network['parameters']:,} parameters"
    if ships := network.get("ships"):
        parameters += f", the {ships}'s"
    adapted = manifest.method != "source_only" and manifest.conditions
    untrained = [c.name for c in manifest.classes if c.id not in manifest.trained_classes]
    lines = [
        f"{manifest.name} ({path}, {path.stat().st_size / 1e6:.1f} MB)",
        f"method        {manifest.method}, seed {manifest.seed}, {manifest.created}",
        f"network       {network['architecture']}, {network['encoder']}, {parameters}",
        f"adapted to    {', '.join(manifest.conditions) if adapted else 'nothing'}",
        f"input         image: uint8 {shape}",
        f"              fitted to {height} x {width} (height x width), {raw['input']['resize']}",
        f"              padded {raw['input']['pad']}",
        f"output        classes: {raw['output']['classes']}",
        f"              confidence: {raw['output']['confidence']}",
        f"classes       {', '.join(f'{c.id} {c.name}' for c in manifest.classes)}",
        f"never seen    {', '.join(untrained) or 'none'} (classes without a training label)",
        *_scores(manifest),
        f"parity        {_inline(manifest.parity)}",
        f"quantisation  {_inline(manifest.quantisation)}",
        f"hashes        {_inline(manifest.hashes)}",
        f"licences      code {raw['licences']['code']}; weights {raw['licences']['weights']}",
        *(f"              data {item}" for item in raw["licences"]["data"]),
        f"intended use  {manifest.intended_use}",
        *_titled("fails on", manifest.known_failures),
    ]
    return "\n".join(lines) + "\n"


def _scores(manifest: Manifest) -> list[str]:
    lines: list[str] = []
    for domain in ("source", "target"):
        scores = manifest.metrics[domain]
        if scores is None:
            lines.append(f"{domain + ' val':<14}no labels, no score")
            continue
        lines.append(f"{domain + ' val':<14}{_summary(scores)}")
        per_class = scores.get("per_class") or {}
        known = [f"{name} {_share(iou)}" for name, iou in per_class.items() if iou is not None]
        if known:
            lines.append(f"              IoU {', '.join(known)}")
        for condition, values in (scores.get("conditions") or {}).items():
            lines.append(f"  {condition:<12}{_summary(values)}")
    return lines


def _summary(scores: dict[str, Any]) -> str:
    named = {
        "mIoU": scores.get("miou"),
        "pixel accuracy": scores.get("pixel_accuracy"),
        "ECE": scores.get("ece"),
    }
    return (
        ", ".join(f"{name} {_share(value)}" for name, value in named.items() if value is not None)
        or "no score"
    )


def _share(value: float) -> str:
    return f"{value * 100:.1f} %"


def _inline(values: dict[str, Any] | None) -> str:
    if not values:
        return "none"
    return ", ".join(f"{key} {'none' if value is None else value}" for key, value in values.items())


def _titled(title: str, items: tuple[str, ...]) -> list[str]:
    first, *rest = items or ("nothing recorded",)
    return [f"{title:<14}{first}", *(f"{'':14}{item}" for item in rest)]
