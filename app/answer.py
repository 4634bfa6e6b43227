"""One request: a picture read once, run through one or two models, and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.comparison import Comparison, compare
from app.limits import shown_picture
from app.models import PHOTO, Models
from pipeline.edge.errors import ImageError
from pipeline.edge.images import read_image
from pipeline.edge.render import OPACITY, overlay


@dataclass(frozen=True)
class Upload:
    """A picture as it came in: its file, and the name that the visitor knows it by."""

    path: Path | None
    name: str

    @classmethod
    def from_path(cls, path: Path) -> Upload:
        """A file of ours."""
        return cls(path, path.name)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Upload:
        """gradio's file record, whose path it has checked to lie in its own folder."""
        path = Path(record["path"]) if record.get("path") else None
        return cls(path, record.get("orig_name") or (path.name if path else "picture"))


@dataclass(frozen=True)
class Style:
    """How overlays are drawn."""

    opacity: float = OPACITY
    safe: bool = False
    outlines: bool = False


@dataclass(frozen=True)
class View:
    """One model's answer at the size shown; `classes` is None for the picture itself."""

    model: str
    title: str
    classes: np.ndarray | None
    milliseconds: dict[str, float]


@dataclass(frozen=True)
class Answer:
    """Everything about one request that the page shows; pictures are at most limits.MAX_SIDE long."""

    upload: Upload
    picture: np.ndarray
    size: tuple[int, int]
    """(height, width) of the picture as it came."""
    views: tuple[View, ...]
    comparison: Comparison | None
    """None unless two models answered."""

    def drawn(self, view: View, style: Style) -> np.ndarray:
        """One view's uint8 (H, W, 3) picture."""
        if view.classes is None:
            return self.picture
        return overlay(self.picture, view.classes, style.opacity, style.safe, style.outlines)


def read_upload(upload: Upload) -> np.ndarray:
    """Decode an upload; ImageError's sentence names the visitor's file, not our temporary one."""
    if upload.path is None:
        raise ImageError("The picture came without a file: send it as a file.")
    try:
        return read_image(upload.path)
    except ImageError as error:
        raise ImageError(str(error).replace(str(upload.path), upload.name)) from None


def answer(
    models: Models, upload: Upload, names: list[str], progress: Callable[[float, str], object] | None = None
) -> Answer:
    """Run the models `names` (or PHOTO) on the upload, left view first.

    Every network sees the picture by the one inference rule (runtime); class ids come back at the size shown.
    Raises ImageError for what is no picture, UserError for a name that is no model.
    """
    tell = progress or (lambda share, words: None)
    tell(0.05, "Reading the picture")
    image = read_upload(upload)
    shown = shown_picture(image)
    views: list[View] = []
    fitted = {}
    for index, name in enumerate(names):
        tell((index + 0.5) / (len(names) + 0.5), models.title(name))
        if name == PHOTO:
            views.append(View(name, models.title(name), None, {}))
            continue
        segmenter = models[name]
        manifest = segmenter.manifest
        rule = (manifest.training_size, manifest.stride, manifest.fixed_size)
        if rule not in fitted:  # models trained at one size share the fitted picture
            fitted[rule] = replace(segmenter.prepare(image), original=shown.shape[:2])
        result = segmenter.finish(segmenter.run(fitted[rule]))
        views.append(View(name, models.title(name), result.classes, result.milliseconds))
    maps = [view.classes for view in views if view.classes is not None]
    both = compare(maps[0], maps[1]) if len(maps) == 2 else None
    return Answer(upload, shown, image.shape[:2], tuple(views), both)
