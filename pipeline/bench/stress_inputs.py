"""What mic-edge is put to: a folder with broken pictures, a huge picture, a video cut off, a quick model."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from PIL import Image

from pipeline.bench.clip import EXAMPLES, NIGHT_MODEL, draw_clip
from pipeline.edge.checksum import embedded_manifest, sealed
from pipeline.edge.manifest import METADATA_KEY, Manifest

SIDE = 64
CLIP_SIZE, CLIP_RATE = (360, 640), 25
BROKEN_KINDS: tuple[Callable[[bytes], bytes], ...] = (
    lambda png: png[: len(png) // 2],  # cut short
    lambda _: b"",
    lambda _: b"a text with the name of a picture\n",
    lambda png: png[:33],  # a header and no pixels
)


def small_model(path: Path) -> Path:
    """The night model whose manifest asks for SIDE x SIDE pixels: a real network that is not the greatest cost."""
    model = onnx.load(NIGHT_MODEL)
    manifest = sized(Manifest.from_json(embedded_manifest(NIGHT_MODEL) or "", str(NIGHT_MODEL)), (SIDE, SIDE))
    onnx.save(model, path)
    helper.set_model_props(model, {METADATA_KEY: Manifest(sealed(manifest.raw, path)).to_json()})
    onnx.save(model, path)
    return path


def sized(manifest: Manifest, size: tuple[int, int]) -> Manifest:
    """As if the model had been trained at (height, width) = `size`: pictures are fitted into that."""
    raw = manifest.raw
    return Manifest.from_dict(raw | {"input": raw["input"] | {"training_size": list(size)}})


def draw_folder(path: Path, images: int, broken: int) -> list[Path]:
    """`images` PNGs of SIDE x SIDE, each another; `broken` of them, spread evenly, cannot be read and are returned."""
    path.mkdir(parents=True)
    kinds = cycle(BROKEN_KINDS)
    bad = {i * images // broken for i in range(broken)}
    for i in range(images):
        png = _png(i)
        (path / f"{i:05d}.png").write_bytes(next(kinds)(png) if i in bad else png)
    return [path / f"{i:05d}.png" for i in sorted(bad)]


def draw_huge(path: Path, size: tuple[int, int]) -> Path:
    """A JPEG of (width, height) = `size`, an example of the page enlarged."""
    path.parent.mkdir(parents=True)
    with Image.open(EXAMPLES / "night_highway.jpg") as picture:
        picture.resize(size, Image.Resampling.BILINEAR).save(path, quality=85)
    return path


def cut_clip(path: Path, frames: int) -> Path:
    """A video of which the last half of the bytes are missing, as of a copy that broke off."""
    path.parent.mkdir(parents=True)
    whole = draw_clip(path, frames, CLIP_SIZE, CLIP_RATE).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _png(seed: int) -> bytes:
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(blocks).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(stream, "PNG")
    return stream.getvalue()
