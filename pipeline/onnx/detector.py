"""The ONNX file of a detector, and whether it finds what torch finds.

The exporter of torch.export cannot follow torchvision's detector, which cuts and sorts lists of boxes of a length that
depends on the picture; the one that traces can, and keeps height, width and the number of boxes free.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torchvision.ops import box_iou

from pipeline.edge.errors import UserError
from pipeline.onnx.graph import drop_notes, first_line
from pipeline.tasks.detection.boxes import Boxes
from pipeline.tasks.detection.graph import DetectorGraph

OUTPUTS = ["boxes", "labels", "scores"]
EXAMPLE = (1, 160, 224, 3)  # any size does: sides that differ, so that none is taken for the other
SAME = 0.99  # IoU of two boxes that are one
PIXELS, SCORES = (
    0.05,
    1e-3,
)  # how far corners and scores of one box may be apart, in float32 and in another order


def export_detector(graph: DetectorGraph, path: Path, opset: int) -> None:
    """Write the ONNX graph: one picture, H, W and the number of boxes free.

    Raises:
        UserError: the network cannot be exported.
    """
    example = torch.randint(0, 255, EXAMPLE, dtype=torch.uint8)
    free = {"image": {1: "h", 2: "w"}, **{name: {0: "d"} for name in OUTPUTS}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph.eval(),
                (example,),
                path,
                input_names=["image"],
                output_names=OUTPUTS,
                dynamic_axes=free,
                opset_version=opset,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise UserError(
            f"the detector cannot be exported ({first_line(error)}): choose another network.encoder"
        ) from None
    model = onnx.load(path)
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    drop_notes(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, path)


@dataclass(frozen=True)
class BoxParity:
    """How far a file's answer to one picture is from torch's."""

    shape: tuple[int, int]  # (H, W)
    boxes: int  # torch's
    matched: int  # of them, those that the file finds with the same label
    pixels: float  # largest difference of a corner of matched boxes
    scores: float  # largest difference of their scores
    lost: float  # highest score of a box that only one of the two finds; 0: none

    def fault(self, bound: float) -> str | None:
        """Why the file is refused, to follow its name; None where it holds.

        A box near a threshold (its score, an overlap) may go either way: `bound` is the highest score of such a one.
        """
        where = "at {}x{}".format(*self.shape)
        if self.lost > bound:
            return f"loses or invents a box of score {self.lost:.3f} {where}"
        if not self.pixels <= PIXELS:
            return f"moves a corner by {self.pixels:.3f} pixels {where}"
        if not self.scores <= SCORES:
            return f"changes a score by {self.scores:.2g} {where}"
        return None


def box_parity(
    graph: DetectorGraph,
    path: Path,
    images: Iterable[np.ndarray],
    providers: Sequence[str] = ("CPUExecutionProvider",),
) -> list[BoxParity]:
    """Torch against the file on pictures uint8 (H, W, 3)."""
    session = onnxruntime.InferenceSession(path, providers=list(providers))
    verdicts = []
    for image in images:
        with torch.no_grad():
            wanted = Boxes(*graph(torch.from_numpy(image[None])))
        corners, labels, scores = (
            torch.from_numpy(np.asarray(v)) for v in session.run(OUTPUTS, {"image": image[None]})
        )
        verdicts.append(compare((image.shape[0], image.shape[1]), wanted, Boxes(corners, labels, scores)))
    return verdicts


def compare(shape: tuple[int, int], wanted: Boxes, found: Boxes) -> BoxParity:
    """Match each box of `wanted` with the nearest of `found` that has its label; each is taken once."""
    overlap = box_iou(wanted.corners, found.corners) * (wanted.labels[:, None] == found.labels[None])
    taken: set[int] = set()
    pairs: list[tuple[int, int]] = []
    for i in range(len(wanted)):
        for j in overlap[i].argsort(descending=True).tolist():
            if overlap[i, j] < SAME:
                break
            if j not in taken:
                taken.add(j)
                pairs.append((i, j))
                break
    mine, theirs = (
        torch.tensor(side, dtype=torch.long) for side in (list(zip(*pairs, strict=True)) or [(), ()])
    )
    alone = [
        *np.delete(wanted.scores.numpy(), mine.numpy()).tolist(),
        *np.delete(found.scores.numpy(), theirs.numpy()).tolist(),
    ]
    return BoxParity(
        shape,
        len(wanted),
        len(pairs),
        _largest(wanted.corners[mine] - found.corners[theirs]),
        _largest(wanted.scores[mine] - found.scores[theirs]),
        max(alone, default=0.0),
    )


def _largest(difference: torch.Tensor) -> float:
    return difference.abs().max().item() if difference.numel() else 0.0
