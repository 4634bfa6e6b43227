"""The report's small print in plain words: how the scores were made, and what they do not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipeline.data.index import Record, of_split
from pipeline.edge.classes import ID_OF
from pipeline.evaluation.verdict import listed
from pipeline.params import Params

SHIPPED = {
    "student": "The student after the last step",
    "teacher": "The teacher after the last step: the moving average of the student, of every model alike",
}


def facts(
    params: Params, metrics: dict[str, dict[str, Any]], source: Sequence[Record], target: Sequence[Record]
) -> list[tuple[str, str]]:
    """Terms and sentences on data, training and scoring; `metrics` by method, the compared one last."""
    protocol = list(metrics.values())[-1]["protocol"]
    train, height, width = params.train, *params.data.size
    weights = params.network.weights
    start = f"encoder weights {weights.name}" if weights else "a random start, no pretrained weights"
    fitted = f"Every picture fitted into {height} x {width} pixels (height x width), its aspect kept"
    inference = f"{fitted}, one pass" if protocol["mode"] == "whole" else f"{fitted}, overlapping windows"
    rows = [
        (
            "Trained on",
            f"{_described(source, 'train')} with labels; {_described(target, 'train')} without labels.",
        ),
        (
            "Scored on",
            f"{_described(source, 'val') or 'no source pictures'}; "
            f"{protocol['images']['target']} target pictures "
            + (
                "with labels that training never saw."
                if protocol["target_labels"]
                else f"of the {protocol['target_split']} split, without labels."
            ),
        ),
        (
            "Training",
            f"Each model {train.steps} steps of {train.batch_size} source pictures (and, to adapt, as many "
            f"target pictures), crops of {train.crop[0]} x {train.crop[1]} pixels, from {start}. The models "
            "share data, order and seed.",
        ),
        ("Network", f"{params.network.architecture} over {params.network.encoder}."),
        ("Scored model", f"{SHIPPED[params.ship]}; no step was picked by looking at target labels."),
        ("Prediction", f"{inference}; no flips, no second scale. Classes compared at the label's own size."),
    ]
    if classes := protocol["classes_in_mean"] if protocol["target_labels"] else []:
        rows.append(("Classes in the score", f"{len(classes)}: {', '.join(classes)}."))
        rows.append(
            (
                "Uncertainty",
                f"Paired bootstrap: {params.evaluate.bootstrap} times, as many pictures are drawn with "
                "replacement, the same for both models; the interval is the middle 95 % of the differences.",
            )
        )
    rows += [
        ("Seed", f"{params.seed}, one training run of each model."),
        ("Scored with", f"{protocol['hardware']}, {protocol['date']}."),
        ("Licences", _licences(params)),
    ]
    return rows


def limits(params: Params, metrics: dict[str, dict[str, Any]], source: Sequence[Record]) -> list[str]:
    """Sentences on what must not be read out of this report."""
    protocol = list(metrics.values())[-1]["protocol"]
    lines = []
    if _drawn(params):
        lines.append(
            "The pictures are drawn by a program so that everything can be tried in minutes. "
            "The figures say nothing about real roads."
        )
    seeds = "Other training runs: this is one seed; python -m pipeline.ablation repeats it over several."
    if protocol["target_labels"]:
        seeds += " Two seeds can differ by more than the interval, which covers the choice of pictures alone."
    lines.append(seeds)
    if protocol["target_labels"]:
        lines.append("Other places, cameras or weather than those of the target pictures above.")
        lines.append(
            "How grave a mistake is: every class counts the same, a missed pole as much as a missed road. "
            "Rare classes rest on few pixels and swing most."
        )
        never = _never_learned(source, protocol["classes_in_mean"])
        if never:
            lines.append(
                f"What labels could teach: {listed(never)} never occur in the source labels, so they score 0."
            )
    else:
        lines.append(
            "Whether any pixel is right: there are no target labels. Changed pixels can change for the worse."
        )
    lines.append(
        "Confidence is not correctness: a model can be sure and wrong, most of all on pictures unlike these."
    )
    lines.append("Fitness for a safety function. This is a comparison of two models, not a validation.")
    return lines


def _described(records: Sequence[Record], split: str) -> str:
    """`160 source pictures (clear)`; empty without any."""
    chosen = of_split(list(records), split)
    if not chosen:
        return ""
    counts = Counter(r.condition for r in chosen)
    kinds = (
        ", ".join(f"{n} {c}" for c, n in sorted(counts.items())) if len(counts) > 1 else next(iter(counts))
    )
    return f"{len(chosen)} {chosen[0].domain} pictures ({kinds})"


def _never_learned(source: Sequence[Record], scored: Sequence[str]) -> list[str]:
    """Scored classes without a pixel in the source training labels."""
    train = [r.pixels for r in source if r.split == "train" and r.pixels]
    return [name for name in scored if train and not any(pixels[ID_OF[name]] for pixels in train)]


def _drawn(params: Params) -> bool:
    return all(data.format == "scenes" for data in params.data.targets)


def _licences(params: Params) -> str:
    data = "; ".join(params.export.data_licences)
    if not data:
        data = "drawn by this project, Apache-2.0" if _drawn(params) else "not stated in the params"
    return f"Code Apache-2.0. Encoder weights: {params.network.licence}. Data: {data}."
