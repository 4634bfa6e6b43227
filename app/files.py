"""Result files: overlays for the page, PNGs to download; in gradio's cache, which deletes them by age."""

from __future__ import annotations

import secrets
from pathlib import Path

from PIL import Image

from app.answer import Answer, Style
from pipeline.edge.render import index_png, overlay_png


def jpegs(cache: str, result: Answer, style: Style) -> list[str]:
    """Every view drawn, as JPEG: a tenth of a PNG's time and size; full chroma keeps borders sharp."""
    folder = _folder(cache)
    paths = []
    for side, (view, drawn) in enumerate(zip(result.views, result.drawn(style), strict=True)):
        path = folder / f"{side}_{view.model}.jpg"
        Image.fromarray(drawn).save(path, quality=88, subsampling=0)
        paths.append(str(path))
    return paths


def downloads(cache: str, result: Answer, style: Style) -> list[str]:
    """Overlay PNG and train-id PNG of each model, named after the picture."""
    folder, stem = _folder(cache), Path(result.upload.name).stem or "picture"
    paths = []
    for view, drawn in zip(result.views, result.drawn(style), strict=True):
        if view.classes is not None:
            for kind, data in (("overlay", overlay_png(drawn)), ("index", index_png(view.classes))):
                path = folder / f"{stem}_{view.model}_{kind}.png"
                path.write_bytes(data)
                paths.append(str(path))
    return paths


def _folder(cache: str) -> Path:
    """A new folder with a name that nobody guesses: gradio serves what lies in its cache."""
    folder = Path(cache) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder
