"""The gate of the export: is the .onnx file within rounding of torch's network in float64?

Float32 sums depend on their order, and that on the CPU, so no two runtimes give the same bits. What is asked is what
holds on any of them: each logit is as near to float64's as rounding brings it, and the class is float64's wherever the
two highest logits are further apart than that. The other pixels are ties: counted, never refused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import UserError
from pipeline.edge.images import fit_size, pad_to_size, resize_image, up_to_multiple
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.sliding import fixed_size
from pipeline.networks.windows import Size
from pipeline.onnx.graph import LOGITS, first_line
from pipeline.params import Params

PARITY_IMAGES = 4
# How far a logit may be from float64's: so many times what torch's own float32 is off on the same pictures, whatever
# the CPU, since another order of the sums is off by another multiple of the same rounding. At least and at most these
# shares of the largest logit: 64 roundings of float32, since torch may happen to sum well where onnxruntime does not,
# and half a rounding of bfloat16, so that no lower precision passes for float32 where torch itself is far off.
TORCH_ERRORS = 8
LEAST, MOST = 2.0**-18, 2.0**-10


@dataclass(frozen=True)
class Reference:
    """What a batch's answer is held against."""

    logits: Tensor  # float64 (N, C, H, W), at the pictures' own size
    confidence: Tensor  # float64 (N, H/4, W/4), 0 to 255
    bound: float  # how far a logit may be from these
    torch_error: float = 0.0  # how far torch's float32 is
    rounding: float = 0.5  # of a confidence to uint8; twice that where the reference's is rounded, too

    def __getitem__(self, pictures: slice) -> Reference:
        return replace(self, logits=self.logits[pictures], confidence=self.confidence[pictures])


@dataclass(frozen=True)
class Verdict:
    """How far a file's answer to one batch is from the reference."""

    shape: list[int]  # [N, H, W]
    error: float  # largest difference of a logit
    bound: float  # what rounding allows it
    torch_error: float  # what torch's float32 makes of it
    ties: int  # pixels whose two highest logits are no further apart than two errors of that size
    ties_swapped: int  # of them, those with another class than the reference
    wrong: int  # other pixels with another class than the reference
    confidence: (
        float  # largest difference of a confidence, in 1/255, beyond what the bound and rounding explain
    )

    @property
    def pixels(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def fault(self) -> str | None:
        """Why the file is refused, to follow its name; None where it holds."""
        where = "at batch {}, {}x{}".format(*self.shape)
        if not self.error <= self.bound:  # NaN is refused, too
            return f"its logits differ by {self.error:.2g} {where}, where rounding explains {self.bound:.2g}"
        if self.wrong:
            return (
                f"{self.wrong} of {self.pixels} pixels {where} have another class that no rounding explains"
            )
        if not self.confidence <= 0:
            return f"its confidence differs by {self.confidence:.2g}/255 {where} more than rounding explains"
        return None


def check_parity(graph: EdgeGraph, path: Path, params: Params, records: Sequence[Record]) -> dict[str, Any]:
    """Hold the file against float64 on real pictures, in all the shapes of `parity_batches`; the manifest's `parity`.

    Raises:
        UserError: it differs by more than rounding, or fails.
    """
    picked = [records[i] for i in np.linspace(0, len(records) - 1, PARITY_IMAGES).round().astype(int)]
    images = [read_picture(record.image) for record in picked]
    batches = parity_batches(images, params.data.size, fixed_size(params, graph.network), graph.stride)
    found = []
    for verdict in verdicts(graph, path, batches):
        if verdict.fault:
            raise UserError(
                f"{path.name}: against torch in float64, {verdict.fault}: {params.network.architecture} does not "
                "export soundly, choose another network.architecture"
            )
        found.append(verdict)
    return summary(found) | {
        "images": len(picked),
        "opset": params.export.opset,
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
    }


def summary(found: Sequence[Verdict]) -> dict[str, Any]:
    """All batches in one: counts are sums, the errors those of the batch that came nearest to its bound."""
    nearest = max(found, key=lambda verdict: verdict.error / verdict.bound)
    return {
        "logit_error": float(f"{nearest.error:.3g}"),
        "logit_bound": float(f"{nearest.bound:.3g}"),
        "torch_error": float(f"{nearest.torch_error:.3g}"),
        "pixels": sum(verdict.pixels for verdict in found),
        "ties": sum(verdict.ties for verdict in found),
        "ties_swapped": sum(verdict.ties_swapped for verdict in found),
        "shapes": list({str(verdict.shape): verdict.shape for verdict in found}.values()),
    }


def parity_batches(
    images: Sequence[np.ndarray], size: Size, fixed: Size | None, stride: int
) -> list[np.ndarray]:
    """The pictures as uint8 (N, H, W, 3): pairs at three shapes, or one by one at the fixed size."""
    if fixed is not None:
        return [_fitted(image, size, fixed)[None] for image in images]
    batches = []
    for scale in (1.0, 0.5, 1.5):
        shape = up_to_multiple((round(size[0] * scale), round(size[1] * scale)), stride)
        resized = np.stack([resize_image(image, shape) for image in images])
        batches += [resized[i : i + 2] for i in range(0, len(resized), 2)]
    return batches


def verdicts(graph: EdgeGraph, path: Path, batches: Sequence[np.ndarray]) -> Iterator[Verdict]:
    """The file's answer to each batch, and to each of its pictures alone, against torch's.

    Raises:
        UserError: torch or onnxruntime fails, or their outputs have other shapes.
    """
    answer = onnx_answers(path)
    exact = copy.deepcopy(graph).double()
    for pixels in batches:
        try:
            reference = in_float64(graph, exact, pixels)
        except RuntimeError as error:  # such as a pooling that leaves nothing of a small picture
            raise UserError(
                f"{path.name}: torch itself fails at {list(pixels.shape[:3])} ({first_line(error)}): "
                "choose another network"
            ) from None
        alone = [slice(i, i + 1) for i in range(len(pixels))] if len(pixels) > 1 else []
        for part in (slice(None), *alone):
            classes, confidence, logits = answer(pixels[part])
            wanted = reference[part]
            if (logits.shape, confidence.shape) != (wanted.logits.shape, wanted.confidence.shape):
                raise UserError(
                    f"{path.name}: shapes differ from torch at {list(pixels[part].shape[:3])}: "
                    "choose another network"
                )
            yield judge(wanted, classes, confidence, logits)


def against_file(path: Path, other: Path, bound: float, batches: Iterable[np.ndarray]) -> Iterator[Verdict]:
    """One file's answer to each batch against that of another of the same weights, both within `bound` of float64.

    Raises:
        UserError: onnxruntime fails.
    """
    answer, expected = onnx_answers(path), onnx_answers(other)
    for pixels in batches:
        _, confidence, logits = (torch.from_numpy(values).double() for values in expected(pixels))
        yield judge(Reference(logits, confidence, 2 * bound, rounding=1.0), *answer(pixels))


@torch.inference_mode()
def in_float64(graph: EdgeGraph, exact: EdgeGraph, pixels: np.ndarray) -> Reference:
    """The answer of `exact`, the graph in float64, to uint8 (N, H, W, 3), and the bound that goes with it."""
    image = torch.from_numpy(pixels)
    logits, confidence = exact.scores(image)
    error = float((graph.scores(image)[0].double() - logits).abs().max())
    largest = float(logits.abs().max())
    bound = min(max(TORCH_ERRORS * error, LEAST * largest), MOST * largest)
    return Reference(logits, confidence, bound, error)


def onnx_answers(path: Path) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """uint8 (N, H, W, 3) -> classes and confidence of the file as it is, and the logits inside it.

    Raises:
        UserError: onnxruntime does not load it or, when called, fails.
    """
    try:
        model = onnx.load(path)
        model.graph.output.append(onnx.helper.make_tensor_value_info(LOGITS, onnx.TensorProto.FLOAT, None))
        shipped, opened = (
            onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
            for content in (path, model.SerializeToString())
        )
    except Exception as error:  # onnxruntime has a type for each kind of failure
        raise UserError(
            f"{path.name}: onnxruntime does not load it ({first_line(error)}): choose another network"
        ) from None

    def answer(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        try:
            classes, confidence = shipped.run(["classes", "confidence"], {"image": pixels})
            (logits,) = opened.run([LOGITS], {"image": pixels})
        except Exception as error:
            raise UserError(
                f"{path.name}: onnxruntime fails at {list(pixels.shape[:3])} ({first_line(error)}): "
                "choose another network"
            ) from None
        return np.asarray(classes), np.asarray(confidence), np.asarray(logits)

    return answer


def judge(reference: Reference, classes: np.ndarray, confidence: np.ndarray, logits: np.ndarray) -> Verdict:
    """One answer, uint8 (N, H, W), uint8 (N, H/4, W/4) and float32 (N, C, H, W), against the reference."""
    error = float((torch.from_numpy(logits) - reference.logits).abs().max())
    best = reference.logits.topk(2, dim=1)
    # Either of the two may be off by the bound.
    tie = best.values[:, 0] - best.values[:, 1] <= 2 * reference.bound
    other = best.indices[:, 0] != torch.from_numpy(classes)
    off = (torch.from_numpy(confidence) - reference.confidence).abs()
    # A softmax grows by exp(2 bound) at most where its own logit rises by the bound and all others fall.
    explained = reference.rounding + reference.confidence * np.expm1(2 * reference.bound)
    return Verdict(
        list(classes.shape),
        error,
        reference.bound,
        reference.torch_error,
        int(tie.sum()),
        int((tie & other).sum()),
        int((other & ~tie).sum()),
        float((off - explained).max()),
    )


def _fitted(image: np.ndarray, size: Size, fixed: Size) -> np.ndarray:
    return pad_to_size(resize_image(image, fit_size(image.shape[0], image.shape[1], size, fixed)), fixed)[0]
