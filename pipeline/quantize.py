"""Stage `quantize`: the variants of one method's .onnx file: int8 for CPUs, fp16 for GPUs, one fixed size.

`python -m pipeline.quantize --method mic` writes models/mic.int8.onnx, mic.fp16.onnx and mic.fixed.onnx, each with its
manifest beside it, and metrics/variants_mic.json with what each costs and gains. A variant that loses too much is not
written, and the table says why.
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.console import Console

from pipeline.data.index import Record, of_split, read_index
from pipeline.data.pictures import read_picture
from pipeline.edge.checksum import sealed
from pipeline.edge.errors import UserError
from pipeline.edge.images import pad_to_multiple
from pipeline.edge.manifest import METADATA_KEY, Manifest
from pipeline.edge.runtime import VARIANTS, Segmenter
from pipeline.evaluate import target_pictures
from pipeline.evaluation.scoring import spread
from pipeline.export import finish, sample_picture
from pipeline.onnx.gate import against_file
from pipeline.onnx.variants.accuracy import Accuracy, Examiner
from pipeline.onnx.variants.fixed_size import to_fixed_size
from pipeline.onnx.variants.fp16 import to_fp16
from pipeline.onnx.variants.int8 import Quantiser, modules_in_float
from pipeline.onnx.variants.table import File, recommended, rows
from pipeline.params import Params, load_params
from pipeline.run.files import write_json
from pipeline.run.lock import alone
from pipeline.run.stage import main_guard, stage_arguments
from pipeline.run.workspace import Workspace


@dataclass(frozen=True)
class Base:
    """The fp32 file, and what its variants are made with and judged by."""

    params: Params
    fp32: Segmenter
    model: onnx.ModelProto
    calibration: Sequence[Record]
    examiner: Examiner
    folder: Path

    @property
    def logit_bound(self) -> float:
        """How far rounding may carry the fp32 file's logits.

        Raises:
            UserError: it was exported before that was measured.
        """
        bound = (self.fp32.manifest.parity or {}).get("logit_bound")
        if bound is None:
            method = self.fp32.manifest.method
            raise UserError(
                f"{self.fp32.path} has no parity.logit_bound in its manifest: run `python -m pipeline.export "
                f"--method {method}` again"
            )
        return bound

    def load(self, variant: str, model: onnx.ModelProto, fixed_size: list[int] | None = None) -> Segmenter:
        """The model as a file of the contract in the temporary folder, loaded."""
        raw = self.fp32.manifest.raw
        manifest = (
            raw
            | {
                "name": f"{raw['name']}.{variant}",
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "input": raw["input"] | {"fixed_size": fixed_size},
                "parity": None,  # with torch: that is the fp32 file's; this one's with fp32 stands in `quantisation`
                "hashes": raw["hashes"] | {"onnx": None},
            }
        )
        path = self.folder / f"{manifest['name']}.onnx"
        onnx.helper.set_model_props(model, {METADATA_KEY: ""})  # without what the quantiser notes there
        onnx.save(model, path)
        text = Manifest.from_dict(sealed(manifest, path)).to_json()
        onnx.helper.set_model_props(model, {METADATA_KEY: text})
        onnx.save(model, path)
        return Segmenter(path)


@dataclass(frozen=True)
class Variant:
    """A variant in the temporary folder and its manifest, but for the table and the hash."""

    file: File
    manifest: dict[str, Any]


def run(params: Params, workspace: Workspace, method: str) -> dict[str, Any]:
    """Make, judge and time the variants; returns the content of metrics/variants_<method>.json.

    Raises:
        UserError: the .onnx file or the index is missing.
    """
    path = workspace.onnx(method)
    if not path.exists():
        raise UserError(f"{path} does not exist: run `python -m pipeline.export --method {method}` first")
    for variant in VARIANTS:  # of an earlier run: what is refused now must not lie there as if it were made
        workspace.variant(method, variant).unlink(missing_ok=True)
        workspace.variant(method, variant).with_suffix(".json").unlink(missing_ok=True)
    records = read_index(workspace.index("target"))
    train = of_split(records, "train")
    calibration = [train[i] for i in spread(train, params.export.int8.calibration_images)]
    pictures = target_pictures([r for r in records if r not in calibration]) or calibration

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{method}.") as folder:
        fp32 = Segmenter(path)
        examiner = Examiner(fp32, pictures, params.data)
        base = Base(params, fp32, onnx.load(path), calibration, examiner, Path(folder))
        variants = [int8(base), fp16(base), fixed_size(base)]
        files = [File(method, "fp32", path, examiner.fp32), *(variant.file for variant in variants)]
        table = rows(files, read_picture(pictures[0].image))
        summary = {"variants": table, "recommended": recommended(table)}
        for variant in variants:
            if variant.file.refused is None:
                final = path.with_name(variant.file.path.name)
                finish(variant.file.path, variant.manifest | summary, final, sample_picture(params, records))
    write_json(workspace.variants(method), summary)
    show(summary)
    return summary


def int8(base: Base) -> Variant:
    """Static quantisation with as few modules in float as the budget of export.int8 asks for."""
    quantiser = Quantiser(base.fp32, base.calibration, base.folder)
    tried: dict[tuple[str, ...], Accuracy] = {}

    def made(in_float: Sequence[str]) -> Segmenter:
        return base.load("int8", quantiser.quantise(in_float, base.folder / "quantised.onnx"))

    def holds(in_float: tuple[str, ...]) -> bool:
        tried[in_float] = base.examiner.examine(made(in_float))
        return budget(base, tried[in_float])[0]

    in_float = modules_in_float(quantiser.modules, holds, lambda module: base.examiner.probe(made([module])))
    refused = None
    if in_float is None:
        in_float = max(tried, key=len)
        share = f"{len(in_float)} of {len(quantiser.modules)} modules in float"
        refused = f"not written: with {share} it still {budget(base, tried[in_float])[1]}"
    how = {
        "kind": "int8: QDQ, weights symmetric per channel, activations uint8 per tensor",
        "calibration_images": len(base.calibration),
        "modules_in_float": list(in_float),
        "nodes_in_int8": len(quantiser.quantised_nodes(in_float)),
    }
    return judged(base, made(in_float), "int8", tried[in_float], refused, how)


def budget(base: Base, accuracy: Accuracy) -> tuple[bool, str]:
    """Whether export.int8 allows this: by target labels where they are, else by agreement. And in words."""
    limits, before = base.params.export.int8, base.examiner.fp32.miou
    if before is None or accuracy.miou is None:
        words = kept_classes(accuracy.agreement, "export.int8.agreement", limits.agreement)
        return accuracy.agreement >= limits.agreement, words
    points = 100 * (before - accuracy.miou)
    words = f"loses {points:.2f} mIoU points, above export.int8.budget_points {limits.budget_points}"
    return points <= limits.budget_points, words


def fp16(base: Base) -> Variant:
    """Half precision inside the network."""
    model = base.load("fp16", to_fp16(base.model, str(base.fp32.path)))
    accuracy, least = base.examiner.examine(model), base.params.export.fp16_agreement
    refused = None
    if accuracy.agreement < least:
        refused = f"not written: it {kept_classes(accuracy.agreement, 'export.fp16_agreement', least)}"
    how = {"kind": "fp16: the network; normalisation, last resize, argmax and softmax in float32"}
    return judged(base, model, "fp16", accuracy, refused, how)


def fixed_size(base: Base) -> Variant:
    """fp32 for one picture of the padded training size."""
    blank = np.zeros((*base.fp32.manifest.training_size, 3), np.uint8)
    height, width = pad_to_multiple(blank, base.fp32.manifest.stride)[0].shape[:2]
    model = base.load("fixed", to_fixed_size(base.model, (height, width)), [height, width])
    batches = (model.prepare(read_picture(record.image)).pixels for record in base.examiner.probes)
    faults = (v.fault for v in against_file(model.path, base.fp32.path, base.logit_bound, batches) if v.fault)
    fault = next(faults, None)
    refused = fault and f"not written: against the fp32 file, {fault}"
    how = {"kind": f"none: fp32, for one picture of {height} x {width}"}
    return judged(base, model, "fp32, fixed size", base.examiner.examine(model), refused, how)


def kept_classes(share: float, key: str, least: float) -> str:
    """An agreement that is too low, in words."""
    return f"keeps the fp32 class of {100 * share:.2f} % of the pixels, below {key} {least}"


def judged(
    base: Base, model: Segmenter, precision: str, accuracy: Accuracy, refused: str | None, how: dict[str, Any]
) -> Variant:
    """The variant with what it scores, against fp32, in its manifest."""
    quantisation = how | {
        "target_miou_fp32": base.examiner.fp32.miou,
        "target_miou": accuracy.miou,
        "agreement": round(accuracy.agreement, 6),
        "agreement_images": base.examiner.pictures,
    }
    metrics = {"source": None, "target": accuracy.target if accuracy.miou is not None else None}
    manifest = model.manifest.raw | {"metrics": metrics, "quantisation": quantisation}
    return Variant(File(model.manifest.name, precision, model.path, accuracy, refused), manifest)


def show(summary: dict[str, Any]) -> None:
    """A line for each file, and which to take."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for row in summary["variants"]:
        miou = "no target labels" if row["target_miou"] is None else f"mIoU {100 * row['target_miou']:.1f}"
        facts = [miou, f"{100 * row['agreement']:.2f} % of the classes as fp32"]
        if row["p50_ms"] is not None:
            facts = [f"{row['megabytes']} MB", f"{row['p50_ms']} ms ({row['provider']})", *facts]
        console.print(f"{row['file']}: {', '.join([*facts, row['note']] if row['note'] else facts)}")
    chosen = summary["recommended"]
    console.print(f"recommended: {chosen['cpu']} on a CPU, {chosen['gpu']} on a GPU ({chosen['reason']})")


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.quantize --method M [--params FILE]`."""
    parser = stage_arguments(
        "Make the int8, fp16 and fixed-size variants of one .onnx file.", with_method=True
    )
    args = parser.parse_args(argv)
    with alone(Workspace(), f"quantize {args.method}"):
        run(load_params(args.params), Workspace(), args.method)
    return 0


if __name__ == "__main__":
    main_guard(main)
