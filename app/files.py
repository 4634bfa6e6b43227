"""Result files in the page's own folder: overlays to show, PNGs to download, and answers kept for another colour."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from app.answer import Answer, Style
from app.folder import Folder
from pipeline.edge.errors import UserError
from pipeline.edge.render import index_png, overlay_png


def jpegs(place: Folder, result: Answer, style: Style) -> list[str]:
    """Every view drawn, as JPEG: a tenth of a PNG's time and size; full chroma keeps borders sharp."""
    folder = place.new()

    def write(side: int) -> str:
        view = result.views[side]
        path = folder / f"{side}_{view.model}.jpg"
        Image.fromarray(result.drawn(view, style)).save(path, quality=88, subsampling=0)
        return str(path)

    with ThreadPoolExecutor(len(result.views)) as pool:  # Pillow frees the interpreter while it works
        return list(pool.map(write, range(len(result.views))))


def downloads(place: Folder, result: Answer, style: Style) -> list[str]:
    """Overlay PNG and train-id PNG of each model."""
    folder = place.new()
    stem = re.sub(r"[^\w-]+", "_", Path(result.upload.name).stem)[:60] or "picture"
    paths = []
    for view in result.views:
        if view.classes is not None:
            overlay = overlay_png(result.drawn(view, style))
            for kind, data in (("overlay", overlay), ("index", index_png(view.classes))):
                path = folder / f"{kind}_{view.model}_{stem}.png"  # narrow screens show the start
                path.write_bytes(data)
                paths.append(str(path))
    return paths


def photo(place: Folder, result: Answer) -> str:
    """The picture alone, as JPEG."""
    path = place.new() / "photo.jpg"
    Image.fromarray(result.picture).save(path, quality=88)
    return str(path)


@dataclass(frozen=True)
class Kept:
    """An Answer whose arrays lie on disk: visitors come and go, and memory stays as it is."""

    answer: Answer
    """The Answer with empty arrays."""
    path: Path

    @classmethod
    def write(cls, place: Folder, result: Answer) -> Kept:
        """Put an answer away."""
        path = place.new() / "answer.npz"
        np.savez(path, result.picture, *(v.classes for v in result.views if v.classes is not None))
        empty = np.empty((0, 0), np.uint8)
        views = tuple(v if v.classes is None else replace(v, classes=empty) for v in result.views)
        return cls(replace(result, picture=empty, views=views), path)

    def read(self) -> Answer:
        """The answer as it was; raises UserError when its file had to go."""
        try:
            with np.load(self.path) as arrays:
                picture, *maps = arrays.values()
        except OSError:
            raise UserError("This answer is no longer kept: choose the picture again.") from None
        left = iter(maps)
        views = (v if v.classes is None else replace(v, classes=next(left)) for v in self.answer.views)
        return replace(self.answer, picture=picture, views=tuple(views))
