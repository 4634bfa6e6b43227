"""Evaluate: score a trained method, its last step, on source and target pictures (method page, section 4).

Writes metrics/<method>.json, metrics/<method>/ (curves for `dvc plots`), evaluation/<method>.npz (confusion of every
picture) and evaluation/<method>/ (confusion matrix, predictions of some target pictures).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from pipeline.data.index import Record, of_split, read_index
from pipeline.edge.errors import UserError
from pipeline.edge.render import index_png
from pipeline.evaluation.inference import Prediction
from pipeline.evaluation.label_free import label_free
from pipeline.evaluation.pictures import confusion_picture
from pipeline.evaluation.scoring import Scores, domain_metrics, score_pictures, spread
from pipeline.evaluation.verdict import LABELS
from pipeline.networks.encoder_decoder import SegmentationNetwork
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.weights import load_weights
from pipeline.params import Params, load_params
from pipeline.run.files import replacing, write_json
from pipeline.run.lock import alone
from pipeline.run.machine import keep_freed_memory, machine
from pipeline.run.stage import main_guard, stage_arguments
from pipeline.run.workspace import Workspace

KEPT_PREDICTIONS = 60  # target pictures whose classes are stored, and seen at all where no labels exist


def run(
    params: Params, workspace: Workspace, method: str, device: torch.device | str | None = None
) -> dict[str, Any]:
    """Score `method` and write its files; returns the content of metrics/<method>.json.

    Raises:
        UserError: the index or the weights are missing or do not fit the params.
    """
    keep_freed_memory()
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    source_records = of_split(read_index(workspace.index("source")), "val")
    target_records = target_pictures(read_index(workspace.index("target")))
    taught_by = None
    if method == "distil" and params.distil is not None:
        by = params.distil.teacher
        taught_by = trained_network(params, workspace.shipped(by, params.ship), by, device)
    params = params.for_method(method)
    network = trained_network(params, workspace.shipped(method, params.ship), method, device)
    kept = Kept(workspace.pictures(method), target_records, params.evaluate.pictures)

    source = score_pictures(network, source_records, params, device, f"{method} on source")
    target = score_pictures(network, target_records, params, device, f"{method} on target", kept.add)
    metrics: dict[str, Any] = {
        "source": domain_metrics(source),
        "target": domain_metrics(target),
        "protocol": protocol(params, source, target, target_records, device),
    }
    beside = "student" if params.ship == "teacher" else "teacher"
    other = trained_network(params, workspace.shipped(method, beside), method, device)
    metrics[beside] = {}
    for domain, records in (("source", source_records), ("target", target_records)):
        labelled = [r for r in records if r.label]
        scores = score_pictures(other, labelled, params, device, f"{method}'s {beside} on {domain}")
        metrics[beside][domain] = {"miou": domain_metrics(scores)["miou"]}
    looked_at = [target_records[i] for i in spread(target_records, KEPT_PREDICTIONS)]
    metrics["target"]["label_free"] = label_free(network, taught_by or other, looked_at, params, device)

    write(workspace, method, metrics, source, target, kept)
    _print(method, metrics, source, target)
    return metrics


def target_pictures(records: Sequence[Record]) -> list[Record]:
    """The target pictures that are seen: all of a labelled val split, else 60 of it or of the train split."""
    val = of_split(list(records), "val")
    if any(r.label for r in val):
        return val
    unlabelled = val or of_split(list(records), "train")
    return [unlabelled[i] for i in spread(unlabelled, KEPT_PREDICTIONS)]


class Kept:
    """Stores the classes of up to 60 target pictures as index PNGs, beside `folder` until `finish`.

    The `shown` pictures of the grid are among them.
    """

    def __init__(self, folder: Path, records: Sequence[Record], shown: int) -> None:
        self.folder = folder
        self.beside = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(self.beside, ignore_errors=True)
        (self.beside / "predictions").mkdir(parents=True)
        positions = spread(records, KEPT_PREDICTIONS)
        kept = [records[i] for i in positions]
        in_grid = set(spread(kept, shown))
        self.rows: list[dict[str, Any]] = [
            {
                "image": r.image,
                "label": r.label,
                "data_set": r.data_set,
                "condition": r.condition,
                "prediction": f"predictions/{i:03d}_{Path(r.image).stem}.png",
                "in_grid": i in in_grid,
            }
            for i, r in enumerate(kept)
        ]
        self._file_of = {row["image"]: row["prediction"] for row in self.rows}

    def add(self, record: Record, prediction: Prediction) -> None:
        """Store a picture's classes if it is one of the kept."""
        if name := self._file_of.get(record.image):
            (self.beside / name).write_bytes(index_png(prediction.classes))

    def finish(self) -> None:
        """List the stored pictures and put the new folder in the old one's place."""
        write_json(self.beside / "pictures.json", self.rows)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.replace(self.beside, self.folder)


def protocol(
    params: Params, source: Scores, target: Scores, target_records: Sequence[Record], device: torch.device
) -> dict[str, Any]:
    """How the scores were made."""
    per_class = {"source": domain_metrics(source)["per_class"], "target": domain_metrics(target)["per_class"]}
    in_mean = {
        d: [name for name, value in scores.items() if value is not None] for d, scores in per_class.items()
    }
    return {
        "classes_in_mean": in_mean["target"] or in_mean["source"],
        "source_classes_in_mean": in_mean["source"],
        "network": f"{params.ship}, last step",
        "steps": params.train.steps,
        "seed": params.seed,
        "size": list(params.data.size),
        "mode": params.evaluate.mode,
        "images": {"source": source.pictures, "target": target.pictures},
        "target_split": target_records[0].split if target_records else None,
        "target_labels": bool(target.images),
        "hardware": machine(device.type),
        "date": date.today().isoformat(),
    }


def trained_network(params: Params, weights: Path, method: str, device: torch.device) -> SegmentationNetwork:
    """The network of the params with these weights, ready to predict. Raises UserError where they are missing."""
    if not weights.exists():
        raise UserError(f"{weights} does not exist: run `python -m pipeline.train --method {method}` first")
    network = build_segmenter(params.network, pretrained=False)
    load_weights(network, weights)
    return network.to(device=device).to(memory_format=torch.channels_last).eval()


def write(
    workspace: Workspace, method: str, metrics: dict[str, Any], source: Scores, target: Scores, kept: Kept
) -> None:
    """Write every file of an evaluation, metrics/<method>.json last."""
    domain, scores = ("target", target) if target.images else ("source", source)
    if scores.images:
        confusion = scores.stack().sum(axis=0)
        title = f"{LABELS[method]}: {domain} pixels by labelled and predicted class, % of the row"
        (kept.beside / f"confusion_{domain}.png").write_bytes(confusion_picture(confusion, title))
    kept.finish()
    per_class = domain_metrics(scores)["per_class"]
    bars = [{"class": name, "iou": value} for name, value in per_class.items() if value is not None]
    write_json(workspace.plots(method) / "iou.json", bars)
    write_json(workspace.plots(method) / "reliability.json", scores.calibration.curve())
    npz = workspace.confusion(method)
    with replacing(npz) as beside:
        np.savez_compressed(
            beside,
            source=source.stack(),
            source_images=np.array(source.images, dtype=str),
            target=target.stack(),
            target_images=np.array(target.images, dtype=str),
            target_conditions=np.array(target.conditions, dtype=str),
        )
    write_json(workspace.metrics(method), metrics)


def _print(method: str, metrics: dict[str, Any], source: Scores, target: Scores) -> None:
    console = Console(stderr=True)
    for domain, scores in (("source", source), ("target", target)):
        miou = metrics[domain]["miou"]
        text = f"mIoU {100 * miou:.1f}" if miou is not None else "no labels, no score"
        per_network = scores.seconds / scores.network_seconds if scores.network_seconds else float("nan")
        console.print(
            f"{method} on {domain}: {text} ({scores.pictures} pictures, {scores.seconds:.1f} s, "
            f"{per_network:.2f} x the network's own time)",
            highlight=False,
        )


def main(argv: Sequence[str] | None = None) -> int:
    args = stage_arguments(
        "Score a trained method on source and target pictures.", with_method=True
    ).parse_args(argv)
    with alone(Workspace(), f"evaluate {args.method}"):
        run(load_params(args.params), Workspace(), args.method)
    return 0


if __name__ == "__main__":
    main_guard(main)
