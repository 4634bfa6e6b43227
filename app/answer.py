"""One request: a picture read once, run through one or two models, and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from app.comparison import Comparison, compare
from app.judgeable import doubt
from app.limits import shown_picture
from app.models import PHOTO, Models
from app.uploads import Upload
from pipeline.edge.render import OPACITY, overlay


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
    doubt: str
    """Why this is no picture that a model can judge; "" when it may be one."""

    def drawn(self, view: View, style: Style) -> np.ndarray:
        """One view's uint8 (H, W, 3) picture."""
        if view.classes is None:
            return self.picture
        return overlay(self.picture, view.classes, style.opacity, style.safe, style.outlines)


def answer(
    models: Models, upload: Upload, names: list[str], progress: Callable[[float, str], object] | None = None
) -> Answer:
    """Run the models `names` (or PHOTO) on the upload, left view first.

    Every network sees the picture by the one inference rule (runtime); class ids come back at the size shown.
    Raises ImageError for what is no picture, UserError for a name that is no model.
    """
    tell = progress or (lambda share, words: None)
    tell(0.05, "Reading the picture")
    for name in names:
        if name != PHOTO:
            models.check(name)
    image, size = upload.read()
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
    return Answer(upload, shown, size, tuple(views), both, doubt(shown))
