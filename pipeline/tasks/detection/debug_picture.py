"""One picture of a training step: what went in with its boxes, and what the teacher said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from pipeline.edge.classes import CLASSES
from pipeline.networks.normalise import denormalise
from pipeline.tasks.detection.boxes import Boxes
from pipeline.tasks.detection.view import View

KEPT = 20  # newest pictures; older ones are deleted
CAPTION = 14  # pixels


def save_debug_picture(folder: Path, step: int, view: View) -> Path:
    """Write folder/step_<step>.png with a row for each of the first two samples of a method's `view`."""
    panels: list[tuple[str, Tensor, list[Boxes] | None]] = [("source", view.source, view.truth)]
    for name in ("target", "strong", "masked"):
        if hasattr(view, name):
            panels.append((name, getattr(view, name), getattr(view, "pseudo", None)))
    height, width = view.source.shape[-2:]
    rows = min(2, len(view.source))
    sheet = Image.new("RGB", (len(panels) * width, CAPTION + rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (title, images, boxes) in enumerate(panels):
        draw.text((column * width + 2, 1), title, fill="black")
        for row in range(rows):
            panel = with_boxes(images[row], None if boxes is None else boxes[row])
            sheet.paste(panel, (column * width, CAPTION + row * height))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:06d}.png"
    sheet.save(path)
    for old in sorted(folder.glob("step_*.png"))[:-KEPT]:
        old.unlink()
    return path


def with_boxes(image: Tensor, boxes: Boxes | None) -> Image.Image:
    """A normalised picture (3, H, W) with boxes in the colours of their classes."""
    pixels = (denormalise(image[None])[0].permute(1, 2, 0).clamp(0, 1) * 255).byte().cpu().numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(picture)
    for corners, label, score in zip(*_lists(boxes), strict=True) if boxes else ():
        colour = CLASSES[-1 - label % len(CLASSES)].safe_rgb
        draw.rectangle(corners, outline=colour)
        if score < 1:
            draw.text((corners[0] + 2, corners[1]), f"{score:.2f}", fill=colour)
    return picture


def _lists(boxes: Boxes) -> tuple[list[list[float]], list[int], list[float]]:
    return boxes.corners.tolist(), boxes.labels.tolist(), boxes.scores.tolist()
