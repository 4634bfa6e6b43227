"""Which example the page opens on: the one where the pair's right-hand model gains most, by labels drawn by hand.

`examples/labels` tells for each example where there is road, where something that moves, and where anything else, as
comma10k does. The gain is the share of labelled pixels in the right one of these three, after minus before. What was
measured for a pair is kept in gains.json, by the models' hashes; `python -m app.gain DIR` writes it anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from app.models import PHOTO, Models
from pipeline.edge.images import enlarge_nearest, read_image

EXAMPLES = Path(__file__).parent / "examples"
GAINS = EXAMPLES / "gains.json"

_ROAD, _ELSE, _MOVES, _IGNORE = 0, 1, 2, 255
_KINDS = np.array([_ROAD] + [_ELSE] * 10 + [_MOVES] * 8, np.uint8)
"""By train id: road; sidewalk to sky; person to bicycle."""


def first(models: Models, examples: list[Path]) -> int:
    """The number of the example to open on: of the largest gain among drawings for models that learned from drawings,
    else among photographs; the first one where nothing can be compared.
    """
    drawn = models[models.pair[1]].manifest.source_format == "scenes"
    alike = [path for path in examples if path.stem.endswith("_drawn") == drawn]
    gains = gains_of(models, alike)
    best = max(alike, key=lambda path: gains.get(path.name, -1.0), default=None)
    return 0 if best is None else examples.index(best)


def gains_of(models: Models, examples: list[Path]) -> dict[str, float]:
    """Gain (-1..1) by file name for the examples that have labels; as kept for this pair, else measured."""
    if PHOTO in models.pair:
        return {}
    kept = json.loads(GAINS.read_text("utf-8"))
    return kept["gains"] if kept["models"] == _hashes(models) else measure(models, examples)


def measure(models: Models, examples: list[Path]) -> dict[str, float]:
    """Run the pair on every example that has labels."""
    gains = {}
    for path in examples:
        labels = EXAMPLES / "labels" / f"{path.stem}.png"
        if labels.is_file():
            truth = np.asarray(Image.open(labels))
            before, after = (_right(models, name, path, truth) for name in models.pair)
            gains[path.name] = round(after - before, 4)
    return gains


def _right(models: Models, name: str, path: Path, truth: np.ndarray) -> float:
    """Share of the labelled pixels that the model puts into the right kind."""
    classes = models[name].segment(read_image(path)).classes
    kinds = enlarge_nearest(_KINDS[classes], (truth.shape[0], truth.shape[1]))
    return float((kinds == truth)[truth != _IGNORE].mean())


def _hashes(models: Models) -> list[str | None]:
    return [models[name].manifest.hashes["onnx"] for name in models.pair]


if __name__ == "__main__":
    measured = Models(Path(sys.argv[1]))
    shown = sorted(p for p in EXAMPLES.iterdir() if p.suffix in (".jpg", ".png"))
    table = {"models": _hashes(measured), "gains": measure(measured, shown)}
    GAINS.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    print(GAINS.read_text("utf-8"))
