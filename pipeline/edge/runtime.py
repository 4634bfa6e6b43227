"""One model in onnxruntime: pictures in, class ids and confidence out; for mic-edge and the page alike."""

from __future__ import annotations

import contextlib
import io
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.edge.classes import NUM_CLASSES
from pipeline.edge.errors import BadModel, ProviderMissing, UserError
from pipeline.edge.images import enlarge_nearest, fit_size, pad_to_multiple, pad_to_size, resize_image
from pipeline.edge.manifest import METADATA_KEY, Manifest

if TYPE_CHECKING:
    import onnxruntime

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

# <name>.<variant>.onnx was made from <name>.onnx by `pipeline.quantize`.
VARIANTS = ("int8", "fp16", "fixed")

# name, element type, rank of the graph's input and outputs (the ONNX contract)
_INPUT = ("image", "tensor(uint8)", 4)
_OUTPUTS = (("classes", "tensor(uint8)", 3), ("confidence", "tensor(uint8)", 3))


@dataclass(frozen=True)
class Segmentation:
    """What the network says about one picture."""

    classes: np.ndarray
    """uint8 (H, W) train ids at the picture's own size."""
    confidence: np.ndarray
    """float32 (ceil(h/4), ceil(w/4)) in 0..1; h, w is the size that the network saw, without the pad."""
    milliseconds: dict[str, float]
    """Time for "prepare" (fit, pad), "network" (session.run alone) and "finish" (cut, enlarge)."""

    @property
    def mean_confidence(self) -> float:
        return float(self.confidence.mean())


@dataclass(frozen=True)
class Prepared:
    """A picture fitted and padded for the network."""

    pixels: np.ndarray
    """uint8 (1, h', w', 3), h' and w' multiples of the stride or the fixed size."""
    fitted: tuple[int, int]
    original: tuple[int, int]
    milliseconds: float


@dataclass(frozen=True)
class RawOutput:
    """The network's own output for a Prepared picture, pad included."""

    classes: np.ndarray
    confidence: np.ndarray
    prepared: Prepared
    milliseconds: float


class Segmenter:
    """An .onnx file of the contract, loaded; `segment` may be called from several threads.

    Raises BadModel for a file that is none or breaks the contract, ProviderMissing when `provider` ("cpu" or
    "cuda") would not be the one that runs. `threads` bounds the CPU threads of one run (None: all cores).
    """

    def __init__(self, path: str | Path, provider: str = "cpu", threads: int | None = None) -> None:
        if provider not in PROVIDERS:
            raise UserError(f"Unknown provider {provider!r}: use {' or '.join(PROVIDERS)}.")
        if threads is not None and threads < 1:
            raise UserError(f"{threads} threads: use 1 or more.")
        self.path = Path(path)
        self.provider = provider
        self._session = _start(self.path, provider, threads)
        _check_graph(self._session, self.path)
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if not text:
            raise BadModel(
                f"{self.path} holds no manifest (metadata key {METADATA_KEY}); export it with mic-adapt."
            )
        self.manifest = Manifest.from_json(text, str(self.path))

    def segment(self, image: np.ndarray) -> Segmentation:
        """uint8 (H, W, 3) RGB at its own size -> classes at that size, confidence at the network's."""
        return self.finish(self.run(self.prepare(image)))

    def prepare(self, image: np.ndarray) -> Prepared:
        """Fit to the training size, aspect kept, and pad to the stride or to the fixed size (everywhere the rule)."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 1:
            raise ValueError(f"expected a uint8 (H, W, 3) picture, got {image.dtype} {image.shape}")
        start = time.perf_counter()
        height, width = image.shape[:2]
        fixed = self.manifest.fixed_size
        resized = resize_image(image, fit_size(height, width, self.manifest.training_size, fixed))
        if fixed is None:
            padded, fitted = pad_to_multiple(resized, self.manifest.stride)
        else:
            padded, fitted = pad_to_size(resized, fixed)
        return Prepared(padded[None], fitted, (height, width), _since(start))

    def run(self, prepared: Prepared) -> RawOutput:
        """session.run alone. Raises BadModel when the outputs break the contract."""
        start = time.perf_counter()
        try:
            outputs = self._session.run(["classes", "confidence"], {"image": prepared.pixels})
        except Exception as error:  # onnxruntime has a type for each kind of failure
            size = "{} x {}".format(*prepared.pixels.shape[1:3])
            raise BadModel(
                f"{self.path} failed on a {size} input ({_first_line(error)}); export it again."
            ) from None
        milliseconds = _since(start)
        classes, confidence = (np.asarray(output) for output in outputs)
        height, width = prepared.pixels.shape[1:3]
        if classes.shape != (1, height, width) or confidence.shape != (1, height // 4, width // 4):
            raise BadModel(
                f"{self.path}: outputs {classes.shape} and {confidence.shape} do not fit an input of "
                f"{height} x {width}; export it again."
            )
        if classes.max() >= NUM_CLASSES:
            raise BadModel(f"{self.path} answered class {classes.max()} of {NUM_CLASSES}; export it again.")
        return RawOutput(classes[0], confidence[0], prepared, milliseconds)

    def finish(self, raw: RawOutput) -> Segmentation:
        """Cut the pad away and enlarge the classes to the picture's own size (nearest)."""
        start = time.perf_counter()
        height, width = raw.prepared.fitted
        classes = enlarge_nearest(raw.classes[:height, :width], raw.prepared.original)
        confidence = raw.confidence[: -(-height // 4), : -(-width // 4)].astype(np.float32) / 255
        milliseconds = {
            "prepare": raw.prepared.milliseconds,
            "network": raw.milliseconds,
            "finish": _since(start),
        }
        return Segmentation(classes, confidence, milliseconds)


def find_models(folder: Path) -> dict[str, Path]:
    """The .onnx files of a folder by name (file name without suffix), source_only first, then by name.

    Variants (mic.int8) come after all others. Raises UserError when there is none.
    """
    files = [p for p in Path(folder).glob("*.onnx") if p.is_file()]
    if not files:
        raise UserError(f"No .onnx model in the folder {folder}: run the pipeline or name another folder.")
    files.sort(key=lambda p: (is_variant(p.stem), not p.stem.startswith("source_only"), p.stem))
    return {p.stem: p for p in files}


def is_variant(name: str) -> bool:
    """Whether a file of that name, without .onnx, was made from another .onnx file."""
    return name.rpartition(".")[2] in VARIANTS and "." in name


def _start(path: Path, provider: str, threads: int | None) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise BadModel(f"No such model: {path}; check the path.")
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ProviderMissing(
            f"onnxruntime does not load ({_first_line(error)}); install it again."
        ) from None
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise ProviderMissing(
            f"Provider {provider} is not in onnxruntime {ort.__version__}: install mic-adapt[gpu] or use cpu."
        )
    ort.set_default_logger_severity(4)  # errors come as exceptions; its log lines would repeat them
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # Shapes vary from picture to picture: a memory plan each is waste. The arena stays on, for it is bounded
    # (pictures are fitted to one size), and without it every run pays 3 to 12 % for fresh pages.
    options.enable_mem_pattern = False
    if threads is not None:
        options.intra_op_num_threads = threads
    providers: list[Any] = [PROVIDERS["cpu"]]
    if provider == "cuda":
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it misses; stdout is for JSON lines
            ort.preload_dlls()
        # The exhaustive search of convolution algorithms would be repeated for every new shape.
        cuda = {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
        providers.insert(0, (wanted, cuda))
    try:
        session = ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime has a type for each kind of failure
        if provider != "cpu" and _is_provider_failure(error):
            raise ProviderMissing(_not_running(provider, _first_line(error))) from None
        raise BadModel(
            f"{path} is no ONNX model that loads ({_first_line(error)}); export it again."
        ) from None
    if session.get_providers()[0] != wanted:
        raise ProviderMissing(_not_running(provider, "onnxruntime fell back to the CPU"))
    return session


def _check_graph(session: onnxruntime.InferenceSession, path: Path) -> None:
    for kind, nodes, wanted in (
        ("input", session.get_inputs(), (_INPUT,)),
        ("output", session.get_outputs(), _OUTPUTS),
    ):
        found = tuple((n.name, n.type, len(n.shape)) for n in nodes)
        if sorted(found) != sorted(wanted):
            shown = ", ".join(f"{name} {dtype} of rank {rank}" for name, dtype, rank in found)
            raise BadModel(
                f"{path}: the {kind}s are {shown or 'none'}, not those of a mic-adapt model; export it again."
            )


def _is_provider_failure(error: Exception) -> bool:
    return any(word in str(error) for word in ("CUDA", "cuda", "cudnn", "CUDNN", "cublas"))


def _not_running(provider: str, reason: str) -> str:
    return (
        f"Provider {provider} does not run here ({reason}): check the driver and CUDA libraries, or use cpu."
    )


def _first_line(error: Exception) -> str:
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip()) or type(error).__name__
    line = text.splitlines()[0].strip().rstrip(".")
    return line if len(line) <= 200 else line[:197] + "..."


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
