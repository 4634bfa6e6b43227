"""The parity sample: a small picture in the manifest with the answer of the model as it was exported."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pipeline.edge.images import fit_size, pad_to_size, resize_image

_SIZE = (128, 256)
_CONFIDENCE_STEPS = 8
_CONFIDENCE_SHARE = 0.99


@dataclass(frozen=True)
class Replay:
    """How an answer compares with the stored one."""

    agreement: float
    """Share of pixels (0..1), but for ties, with the same class."""
    ties: int
    """Pixels left out since rounding alone may swap their class."""
    close: float
    """Share of confidence values (0..1) within 8/255 of the stored ones."""
    wanted: float

    @property
    def holds(self) -> bool:
        return self.agreement >= self.wanted and self.close >= _CONFIDENCE_SHARE

    def __str__(self) -> str:
        return (
            f"{self.agreement * 100:.2f} % of the classes are the same (at least {self.wanted * 100:g} %), "
            f"{self.ties} ties left out, {self.close * 100:.2f} % of the confidences within {_CONFIDENCE_STEPS}/255 "
            f"(at least {_CONFIDENCE_SHARE * 100:g} %)"
        )


def sample_pixels(image: np.ndarray, stride: int, fixed_size: tuple[int, int] | None = None) -> np.ndarray:
    """A picture, uint8 (H, W, 3), made small enough to store: about 128 x 256, sides multiples of `stride`.

    For a network of fixed size it is padded to that, which costs next to nothing in a PNG.
    """
    fitted = fit_size(image.shape[0], image.shape[1], _SIZE, fixed_size)
    if fixed_size is not None:
        return pad_to_size(resize_image(image, fitted), fixed_size)[0]
    height, width = (max(stride, side // stride * stride) for side in fitted)
    return resize_image(image, (height, width))


def sample_entry(
    pixels: np.ndarray, classes: np.ndarray, confidence: np.ndarray, ties: np.ndarray, agreement: float
) -> dict[str, Any]:
    """The manifest's `sample`: uint8 (H, W, 3) RGB, its classes (H, W) and confidence (H/4, W/4), both uint8.

    `ties`, bool (H, W), are pixels whose class is not asked for; of the others, `agreement` is the lowest share of
    equal classes that passes on another machine.
    """
    pictures = {"image": pixels, "classes": classes, "confidence": confidence, "ties": np.uint8(255) * ties}
    return {**{key: _text(values) for key, values in pictures.items()}, "agreement": agreement}


def sample_image(entry: dict[str, Any]) -> np.ndarray:
    """The stored picture, uint8 (H, W, 3). Raises ValueError or OSError where it is none."""
    return _pixels(entry["image"], "RGB")


def compare(entry: dict[str, Any], classes: np.ndarray, confidence: np.ndarray) -> Replay:
    """An answer, uint8 (H, W) and (H/4, W/4), against the stored one. Raises ValueError or OSError."""
    wanted_classes, wanted_confidence = _pixels(entry["classes"], "L"), _pixels(entry["confidence"], "L")
    if (wanted_classes.shape, wanted_confidence.shape) != (classes.shape, confidence.shape):
        raise ValueError(f"the stored answer is {wanted_classes.shape}, the model's {classes.shape}")
    difference = np.abs(wanted_confidence.astype(int) - confidence.astype(int))
    # Files exported before ties were stored have none.
    ties = _pixels(entry["ties"], "L") > 0 if "ties" in entry else np.zeros(classes.shape, bool)
    if ties.shape != classes.shape:
        raise ValueError(f"the stored ties are {ties.shape}, the model's classes {classes.shape}")
    same = (wanted_classes == classes)[~ties]
    agreement = float(same.mean()) if same.size else 1.0
    return Replay(
        agreement, int(ties.sum()), float((difference <= _CONFIDENCE_STEPS).mean()), entry["agreement"]
    )


def _text(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def _pixels(text: str, mode: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=("PNG",)) as image:
        if image.mode != mode:
            raise ValueError(f"a stored picture is of mode {image.mode}, not {mode}")
        return np.array(image)
