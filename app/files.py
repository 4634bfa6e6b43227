"""Result files: overlays for the page, PNGs to download; in gradio's cache, which deletes them by age."""

from __future__ import annotations

import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from app.answer import Answer, Style
from pipeline.edge.render import index_png, overlay_png


def jpegs(cache: str, result: Answer, style: Style) -> list[str]:
    """Every view drawn, as JPEG: a tenth of a PNG's time and size; full chroma keeps borders sharp."""
    folder = _folder(cache)

    def write(side: int) -> str:
        view = result.views[side]
        path = folder / f"{side}_{view.model}.jpg"
        Image.fromarray(result.drawn(view, style)).save(path, quality=88, subsampling=0)
        return str(path)

    with ThreadPoolExecutor(len(result.views)) as pool:  # Pillow frees the interpreter while it works
        return list(pool.map(write, range(len(result.views))))


def downloads(cache: str, result: Answer, style: Style) -> list[str]:
    """Overlay PNG and train-id PNG of each model."""
    folder = _folder(cache)
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


def _folder(cache: str) -> Path:
    """A new folder with a name that nobody guesses: gradio serves what lies in its cache."""
    folder = Path(cache) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder
