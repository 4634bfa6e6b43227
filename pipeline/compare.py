"""Compare: what adaptation gains over source-only and how sure that is; JSON and report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.data.formats import read_label
from pipeline.data.index import read_index
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import UserError
from pipeline.edge.images import read_image
from pipeline.evaluation.comparison import Confusions, domain_gain, pair_gains, picture_scores, target_gain
from pipeline.evaluation.pictures import GridRow, confusion_change_picture, grid_picture, png_bytes
from pipeline.evaluation.report import Case, Figure, Report, render
from pipeline.evaluation.report_facts import facts, limits
from pipeline.evaluation.verdict import LABELS, interval, judge, points, signed
from pipeline.params import Params, load_params
from pipeline.params.data import Data
from pipeline.run.files import read_json, write_bytes, write_json
from pipeline.run.lock import alone
from pipeline.run.stage import main_guard, stage_arguments
from pipeline.run.workspace import Workspace

BASELINE = "source_only"


def run(params: Params, workspace: Workspace) -> dict[str, Any]:
    """Compare the evaluated methods and write the report; returns the content of metrics/compare.json.

    Raises:
        UserError: nothing to compare, or an evaluation is missing or of other pictures.
    """
    method = "mic" if "mic" in params.methods else params.methods[-1]
    if BASELINE not in params.methods or method == BASELINE:
        raise UserError(
            f"methods is {list(params.methods)}: comparing needs {BASELINE} and one more, e.g. mic"
        )
    candidates = [m for m in params.trained if m not in (BASELINE, method)]
    others = [m for m in candidates if workspace.metrics(m).exists()]
    methods = [BASELINE, *others, method]
    metrics = {m: _read_json(workspace.metrics(m), m) for m in methods}
    confusions = {m: _read_confusions(workspace.confusion(m), m) for m in methods}
    stored = {m: _read_json(workspace.pictures(m) / "pictures.json", m) for m in methods}
    for m in methods[1:]:
        _check_same_pictures(m, confusions[BASELINE], confusions[m], stored[BASELINE] == stored[m])

    rows = stored[BASELINE]
    predictions = {m: [workspace.pictures(m) / row["prediction"] for row in rows] for m in methods}
    draws, seed = params.evaluate.bootstrap, params.seed
    before, after = confusions[BASELINE], confusions[method]
    scored = params.data.scored_classes
    compare = {
        "baseline": BASELINE,
        "method": method,
        "target": target_gain(
            before, after, list(metrics[method]["target"]["conditions"]), draws, seed, scored
        ),
        "source": domain_gain(before, after, "source", draws, seed, scored),
        "pairs": pair_gains(confusions, BASELINE, [method, *others], draws, seed, scored),
        "label_free": {
            "changed_share": changed_share(predictions[BASELINE], predictions[method]),
            "mean_confidence": {m: metrics[m]["target"]["mean_confidence"] for m in methods},
        },
    }
    write_json(workspace.compare, compare)
    write_json(workspace.summary, summary(compare, metrics))

    _write_grid(workspace.report_dir / "grid.png", rows, predictions, params.data)
    cases = [
        _case(rows[i], predictions[BASELINE][i], predictions[method][i], params.data, *text)
        for i, text in _chosen_cases(rows, before, after, scored).items()
    ]
    source, target = read_index(workspace.index("source")), read_index(workspace.index("target"))
    small_print = facts(params, metrics, source, target), limits(params, metrics, source)
    page = render(Report(compare, metrics, cases, _figures(workspace, compare, before, after), *small_print))
    write_bytes(workspace.report_dir / "index.html", page.encode())
    _print(compare, metrics, workspace)
    return compare


def summary(compare: dict[str, Any], metrics: dict[str, dict[str, Any]]) -> dict[str, float]:
    """What `dvc metrics show` and `dvc exp show` print, in points of 100; unknown scores are left out."""
    rows: dict[str, float | None] = {}
    for m, scored in metrics.items():
        rows[f"{m} source"] = scored["source"]["miou"]
        rows[f"{m} target"] = scored["target"]["miou"]
    rows["gain"] = compare["target"]["miou_gain"]
    rows |= {f"gain {c}": by["miou_gain"] for c, by in compare["target"]["conditions"].items()}
    rows["changed"] = compare["label_free"]["changed_share"]
    return {name: round(100 * value, 2) for name, value in rows.items() if value is not None}


def changed_share(before: Sequence[Path], after: Sequence[Path]) -> float | None:
    """Share of pixels (0..1) with another class in `after`, from stored predictions of the same pictures."""
    changed = pixels = 0
    for one, other in zip(before, after, strict=True):
        classes = _classes(one)
        changed += int((classes != _classes(other)).sum())
        pixels += classes.size
    return round(changed / pixels, 6) if pixels else None


def _chosen_cases(
    rows: list[dict[str, Any]], before: Confusions, after: Confusions, classes: Sequence[int]
) -> dict[int, tuple[str, str]]:
    """Position -> title and note of the report's pictures: the grid's, then the best and the worst case."""
    position = {str(name): i for i, name in enumerate(before["target_images"])}
    old, new = picture_scores(before["target"], classes), picture_scores(after["target"], classes)
    scored = {i: position[row["image"]] for i, row in enumerate(rows) if row["image"] in position}
    gain = {i: new[k] - old[k] for i, k in scored.items()}
    chosen = [i for i, r in enumerate(rows) if r["in_grid"]]
    known = sorted(gain, key=lambda i: gain[i])
    extremes = {known[-1]: "the largest gain", known[0]: "the largest loss"} if len(known) > 1 else {}
    if known and gain[known[0]] >= 0:
        extremes[known[0]] = "the smallest gain"
    texts = {}
    for i in [*chosen, *(e for e in extremes if e not in chosen)]:
        name = f"{rows[i]['condition']}, {Path(rows[i]['image']).stem}"
        note = "No label, no score."
        if i in gain:
            one, other = points(old[scored[i]]), points(new[scored[i]])
            note = f"This picture alone: {one} points before, {other} after."
        if i in extremes:
            note += f" Of {len(known)} pictures looked at, {extremes[i]}."
        texts[i] = (name, note)
    return texts


def _case(row: dict[str, Any], before: Path, after: Path, data: Data, title: str, note: str) -> Case:
    return Case(title, note, read_picture(row["image"]), _classes(before), _classes(after), _truth(row, data))


def _truth(row: dict[str, Any], data: Data) -> np.ndarray | None:
    return read_label(row["label"], data.targets[row["data_set"]]) if row["label"] else None


def _write_grid(
    path: Path, rows: list[dict[str, Any]], predictions: dict[str, list[Path]], data: Data
) -> None:
    """report/grid.png: picture, ground truth and each method, for the pictures chosen by `evaluate`."""
    lines = [
        GridRow(
            f"{row['condition']}, {Path(row['image']).stem}",
            read_picture(row["image"]),
            _truth(row, data),
            [_classes(paths[i]) for paths in predictions.values()],
        )
        for i, row in enumerate(rows)
        if row["in_grid"]
    ]
    write_bytes(path, png_bytes(grid_picture(lines, [LABELS[m] for m in predictions])))


def _figures(
    workspace: Workspace, compare: dict[str, Any], before: Confusions, after: Confusions
) -> list[Figure]:
    """The confusion matrices and their change; report/confusion_change.png is written beside the page."""
    if not before["target"].sum():
        return []
    baseline, method = LABELS[compare["baseline"]], LABELS[compare["method"]]
    title = f"Change from {baseline} to {method}, in points of each labelled class"
    change = confusion_change_picture(before["target"].sum(axis=0), after["target"].sum(axis=0), title)
    write_bytes(workspace.report_dir / "confusion_change.png", change)
    alt = "matrix of labelled against predicted classes on the target"
    figures = [Figure("What changed", f"Change in the {alt}", change)]
    for m in (compare["baseline"], compare["method"]):
        png = (workspace.pictures(m) / "confusion_target.png").read_bytes()
        figures.append(Figure(LABELS[m], f"{LABELS[m]}: {alt}", png))
    return figures


def _read_json(path: Path, method: str) -> Any:
    return read_json(path, f"python -m pipeline.evaluate --method {method}")


def _read_confusions(path: Path, method: str) -> Confusions:
    if not path.exists():
        raise UserError(f"{path} does not exist: run `python -m pipeline.evaluate --method {method}` first")
    try:
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except Exception:  # of broken bytes numpy and zlib say anything
        raise UserError(
            f"{path} is damaged or cut short: run `python -m pipeline.evaluate --method {method}` again"
        ) from None


def _check_same_pictures(method: str, one: Confusions, other: Confusions, same_stored: bool) -> None:
    names = ("source_images", "target_images")
    if not same_stored or any(one[n].tolist() != other[n].tolist() for n in names):
        raise UserError(
            f"{BASELINE} and {method} were evaluated on different pictures: run `python -m pipeline.evaluate "
            f"--method {BASELINE}` and `--method {method}` again"
        )


def _classes(path: Path) -> np.ndarray:
    """The stored prediction, uint8 (H, W)."""
    return read_image(path)[:, :, 0]


def _print(compare: dict[str, Any], metrics: dict[str, dict[str, Any]], workspace: Workspace) -> None:
    console = Console()
    conditions = list(compare["target"]["conditions"])
    table = Table("model", title="mIoU in points of 100")
    for name in ("source", "target", *conditions):
        table.add_column(name, justify="right")

    def shown(score: float | None) -> str:
        return "no labels" if score is None else points(score)

    for m, scored in metrics.items():
        by_condition = [scored["target"]["conditions"][c]["miou"] for c in conditions]
        table.add_row(
            LABELS[m], *map(shown, (scored["source"]["miou"], scored["target"]["miou"], *by_condition))
        )
    for pair in compare["pairs"]:
        name = f"{LABELS[pair['method']]} minus {LABELS[pair['baseline']]}"
        main = pair["method"] == compare["method"] and pair["baseline"] == compare["baseline"]
        gains = [signed(compare["target"]["conditions"][c]["miou_gain"]) for c in conditions] if main else []
        table.add_row(
            name, signed(compare["source"]["miou_gain"]) if main else "", signed(pair["miou_gain"]), *gains
        )
        if main and pair["miou_gain_ci95"]:
            table.add_row("  95 % interval", "", interval(pair["miou_gain_ci95"]))
    console.print(table)
    verdict = judge(compare, metrics[compare["baseline"]], metrics[compare["method"]])
    console.print(f"{verdict.headline} {verdict.detail}", highlight=False)
    console.print(f"The report: {workspace.report_dir / 'index.html'}", highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.compare [--params FILE]`."""
    args = stage_arguments("Compare the evaluated methods.", with_method=False).parse_args(argv)
    with alone(Workspace(), "compare"):
        run(load_params(args.params), Workspace())
    return 0


if __name__ == "__main__":
    main_guard(main)
