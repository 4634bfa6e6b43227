"""One picture of a training step: what went in, what the teacher said, what the student answered."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from pipeline.edge.render import colour
from pipeline.networks.normalise import denormalise
from pipeline.tasks.segmentation.cross_entropy import enlarge
from pipeline.tasks.segmentation.view import View

KEPT = 20  # newest pictures; older ones are deleted
CAPTION = 14  # pixels

PANELS = (
    ("source", "source"),
    ("label", "label"),
    ("prediction", "prediction"),
    ("target", "target"),
    ("target_prediction", "target prediction"),
    ("pseudo.label", "pseudo label"),
    ("pseudo.confidence", "confidence"),
    ("mixed", "mixed"),
    ("mixed_label", "mixed label"),
    ("masked", "masked"),
    ("masked_prediction", "masked prediction"),
)


def save_debug_picture(folder: Path, step: int, view: View) -> Path:
    """Write folder/step_<step>.png with a row for each of the first two samples of a method's `view`."""
    height, width = view.source.shape[-2:]
    shown = [(title, attrgetter(name)(view)) for name, title in PANELS if hasattr(view, name.split(".")[0])]
    rows = min(2, len(view.source))
    sheet = Image.new("RGB", (len(shown) * width, CAPTION + rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (title, value) in enumerate(shown):
        caption = f"{title} {value.mean().item():.2f}" if title == "confidence" else title
        draw.text((column * width + 2, 1), caption, fill="black")
        for row in range(min(rows, len(value))):
            panel = _panel(value[row : row + 1], (height, width))
            sheet.paste(Image.fromarray(panel), (column * width, CAPTION + row * height))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:06d}.png"
    sheet.save(path)
    for old in sorted(folder.glob("step_*.png"))[:-KEPT]:
        old.unlink()
    return path


def _panel(value: Tensor, size: tuple[int, int]) -> np.ndarray:
    """One sample as uint8 (H, W, 3): a normalised picture, a label map, a confidence map or logits."""
    if value.ndim == 4 and value.shape[1] == 3:
        return (denormalise(value)[0].permute(1, 2, 0).clamp(0, 1) * 255).byte().cpu().numpy()
    if value.ndim == 4:
        value = enlarge(value, size).argmax(dim=1)
    if value.dtype == torch.int64:
        return colour(value[0].byte().cpu().numpy())
    grey = (value[0].clamp(0, 1) * 255).byte().cpu().numpy()
    return np.repeat(grey[..., None], 3, axis=2)
