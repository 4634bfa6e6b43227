"""One model: pictures in, class ids and confidence out; for mic-edge and the page alike."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.edge.backend import reason, warn
from pipeline.edge.checksum import read_model
from pipeline.edge.classes import IGNORE, NUM_CLASSES
from pipeline.edge.errors import BadModel, UserError
from pipeline.edge.ignore import IgnoreMask
from pipeline.edge.images import enlarge_nearest, fit_size, pad_to_multiple, pad_to_size, resize_image
from pipeline.edge.providers import cores, open_model
from pipeline.edge.sample import Replay, compare, sample_image
from pipeline.edge.seal import manifest_of, refuse_changed

# <name>.<variant>.onnx was made from <name>.onnx by `pipeline.quantize`.
VARIANTS = ("int8", "fp16", "fixed")


@dataclass(frozen=True)
class Segmentation:
    """What the network says about one picture."""

    classes: np.ndarray
    """uint8 (H, W) train ids at the picture's own size; 255 where the ignore mask hides the picture."""
    confidence: np.ndarray
    """float32 (ceil(h/4), ceil(w/4)), 0..1, 0 where hidden; h, w is the size that the network saw, without the pad."""
    milliseconds: dict[str, float]
    """Time for "prepare" (fit, pad), "network" (alone) and "finish" (cut, enlarge)."""
    ignored: float | None = None
    """Share of the pixels (0..1) that the ignore mask hides, None without one."""

    @property
    def mean_confidence(self) -> float:
        """Over what is not hidden: the largest softmax value of 19 is never 0."""
        shown = self.confidence > 0
        return float(self.confidence.mean(where=shown)) if shown.any() else 0.0


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

    `provider` is one of pipeline.edge.providers and the attribute tells which one runs: another one than was asked
    for only with `allow_cpu`, which takes the CPU with a warning on stderr where the provider is missing. `threads`
    bounds the CPU threads (None: all cores). `at_once` runs are going to share them on the CPU; the attribute is 1
    where another provider runs or there are fewer threads. `precision` is one of pipeline.edge.providers and chooses
    for openvino alone; the attribute tells what it came to, and where that is not f32 a warning says how much it
    changes. `verify=False` loads a file whose bytes are not those that its own hashes tell of. What `ignore` hides
    gets no class.

    Raises BadModel for a file that is none, was changed or breaks the contract, ProviderMissing where `provider` or
    `precision` would not be what runs, UserError for one that does not exist.
    """

    def __init__(
        self,
        path: str | Path,
        provider: str = "cpu",
        threads: int | None = None,
        allow_cpu: bool = False,
        at_once: int = 1,
        precision: str = "f32",
        verify: bool = True,
        ignore: IgnoreMask | None = None,
    ) -> None:
        self.path = Path(path)
        self.ignore = ignore
        file = read_model(self.path)
        self.manifest = manifest_of(file)
        self.graph_sha256 = file.graph_sha256
        if verify and (unknown := refuse_changed(file, self.manifest)):
            warn(unknown)
        self._backend = open_model(file, provider, threads, allow_cpu, at_once, precision)
        self.provider = self._backend.provider
        self.precision = self._backend.precision
        self.at_once = min(at_once, threads or cores()) if self.provider == "cpu" else 1
        if self.provider == "tensorrt":
            self.warm_up()
        if self.precision != "f32":
            warn(f"{self.provider} computes {self.path} in {self.precision}: {self._difference()}.")

    def warm_up(self) -> None:
        """Run blank pictures, so that the first real one waits for nothing that is done once.

        They are one of the training size and the flattest and the steepest there can be: between these lie all
        sizes, for which TensorRT builds its engine.
        """
        height, width = self.manifest.training_size
        longest = max(height, width)
        for size in ((height, width), (1, longest), (longest, 1)):
            self.run(self.prepare(np.zeros((*size, 3), np.uint8)))

    def replay(self) -> Replay | None:
        """The answer here against the one stored with the parity sample, None where the manifest holds no sample.

        Raises ValueError, OSError or BadModel where the sample cannot be run.
        """
        sample = self.manifest.sample
        if sample is None:
            return None
        pixels = sample_image(sample)
        raw = self.run(Prepared(pixels[None], pixels.shape[:2], pixels.shape[:2], 0.0))
        return compare(sample, raw.classes, raw.confidence)

    def _difference(self) -> str:
        try:
            replay = self.replay()
        except (ValueError, OSError):
            replay = None
        if replay is None:
            return "it holds no sample to measure what that changes"
        return f"of its sample picture {100 * (1 - replay.agreement):.1f} % of the pixels get another class than in f32"

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
        """The network alone. Raises BadModel when the outputs break the contract."""
        start = time.perf_counter()
        try:
            classes, confidence = self._backend.run(prepared.pixels)
        except Exception as error:  # onnxruntime has a type for each kind of failure
            size = "{} x {}".format(*prepared.pixels.shape[1:3])
            raise BadModel(
                f"{self.path} failed on a {size} input ({reason(error)}); export it again."
            ) from None
        milliseconds = _since(start)
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
        """Cut the pad away, enlarge the classes to the picture's own size (nearest), hide what is to be ignored.

        Raises UserError where the ignore mask is of another shape than the picture.
        """
        start = time.perf_counter()
        height, width = raw.prepared.fitted
        classes = enlarge_nearest(raw.classes[:height, :width], raw.prepared.original)
        confidence = raw.confidence[: -(-height // 4), : -(-width // 4)].astype(np.float32) / 255
        ignored = None
        if self.ignore is not None:
            hidden = self.ignore.at(raw.prepared.original)
            classes = np.where(hidden, np.uint8(IGNORE), classes)
            confidence[enlarge_nearest(hidden, confidence.shape)] = 0
            ignored = float(hidden.mean())
        milliseconds = {
            "prepare": raw.prepared.milliseconds,
            "network": raw.milliseconds,
            "finish": _since(start),
        }
        return Segmentation(classes, confidence, milliseconds, ignored)


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


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
