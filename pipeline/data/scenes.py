"""The embedded data set: street scenes drawn in perspective from a seed, with exact labels and depth.

The source is a European street on a clear day; the target, at night and in fog, is another town: wider
roads, offices with bands of glass, conifers, another camera. Shapes and layout are what the two share.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from pipeline.data.street.canvas import Canvas
from pipeline.data.street.layout import draw_street
from pipeline.data.street.light import develop, expose, light_day, light_fog, light_night
from pipeline.data.street.towns import SOURCE, TARGET
from pipeline.edge.errors import UserError

CONDITIONS = ("clear", "night", "fog")
DRAWING = 2  # raise when a change alters the pixels, so that old folders are drawn anew
VAL_START = 1_000_000  # validation scenes are numbered from here: never a training scene


@dataclass(frozen=True)
class Scene:
    """image uint8 (H, W, 3) RGB, label uint8 (H, W) train ids, depth float32 (H, W) metres, sky infinite.

    At four samples a pixel, (2H, 2W): thing int32, the number of the object (0: none), and samples uint8, the train id.
    """

    image: np.ndarray
    label: np.ndarray
    depth: np.ndarray
    condition: str
    thing: np.ndarray
    samples: np.ndarray


class ScenesConfig(Protocol):
    """What write_scenes reads: the seed, the picture size, the number of scenes in each split, and whether
    target_train has labels."""

    @property
    def seed(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def source_train(self) -> int: ...
    @property
    def source_val(self) -> int: ...
    @property
    def target_train(self) -> int: ...
    @property
    def target_val(self) -> int: ...
    @property
    def target_labels(self) -> bool: ...


def _pair(array: np.ndarray) -> np.ndarray:
    """(2H, 2W, ...) -> (H, W, 4, ...): the four samples of every pixel."""
    return np.stack([array[::2, ::2], array[::2, 1::2], array[1::2, ::2], array[1::2, 1::2]], axis=2)


def _majority(label: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most frequent of each pixel's four labels, on a tie the nearest one, and that sample's depth."""
    labels, depths = _pair(label), _pair(depth)
    votes = (labels[..., :, None] == labels[..., None, :]).sum(-1).astype(np.float32)
    best = (votes - 0.5 * (1 - 1 / (1 + depths))).argmax(-1)[..., None]
    return np.take_along_axis(labels, best, 2)[..., 0], np.take_along_axis(depths, best, 2)[..., 0]


def draw_scene(
    seed: int, index: int, domain: Literal["source", "target"], condition: str, height: int, width: int
) -> Scene:
    """Draw one scene; a pure function of its arguments. The street depends on seed, index and domain alone,
    so the same street can be seen by day, at night and in fog."""
    if condition not in CONDITIONS:
        raise UserError(f"scenes: condition '{condition}' is unknown; use one of {', '.join(CONDITIONS)}.")
    style = SOURCE if domain == "source" else TARGET
    town = np.random.default_rng([seed, index, int(domain == "target")])
    weather = np.random.default_rng([seed, index, int(domain == "target"), 1 + CONDITIONS.index(condition)])
    canvas = Canvas(
        height * 2,  # two by two samples a pixel
        width * 2,
        focal=2 * width * style.zoom * town.uniform(0.95, 1.05),
        horizon=2 * height * town.uniform(*style.horizon),
        eye=np.array([0, town.uniform(*style.eye), 0], np.float32),
        yaw=float(town.normal(0, 0.035)),
        pitch=float(np.radians(town.uniform(*style.pitch))),
    )
    side = 1 if town.random() < 0.5 else -1
    sun = np.array([side * town.uniform(0.35, 0.8), town.uniform(0.5, 0.9), town.uniform(-0.7, -0.1)])
    sun /= np.linalg.norm(sun)
    skylines = draw_street(canvas, town, style, sun)
    if condition == "clear":
        linear = expose(light_day(canvas, weather, sun, skylines), weather.uniform(0.40, 0.50))
        electrons, read = 6000.0, 12.0
    elif condition == "fog":
        linear = expose(light_fog(canvas, weather), weather.uniform(0.48, 0.64))
        electrons, read = 4000.0, 12.0
    else:
        linear = expose(light_night(canvas, weather), weather.uniform(0.16, 0.22))
        electrons, read = weather.uniform(500, 1200), weather.uniform(2.0, 4.0)
    image = develop(_pair(np.clip(linear, 0, 1)).mean(2), weather, electrons, read)
    label, depth = _majority(canvas.label, canvas.depth)
    return Scene(image, label, depth, condition, canvas.thing, canvas.label)


def write_scenes(root: Path, config: ScenesConfig) -> None:
    """Draw the data set into root: images, labels, splits, scenes.json; one with this config is left alone.

    Raises UserError when root holds files that mic-adapt did not draw.
    """
    keys = ("seed", "height", "width", "source_train", "source_val", "target_train", "target_val")
    record = {"drawing": DRAWING} | {key: int(getattr(config, key)) for key in keys}
    if config.target_labels:
        record["target_labels"] = 1
    stamp = root / "scenes.json"
    if stamp.exists() and _read(stamp) == record:
        return
    if root.exists() and not stamp.exists() and any(root.iterdir()):
        raise UserError(
            f"{root} holds files that mic-adapt did not draw; name an empty folder as scenes root."
        )
    fresh, old = root.with_name(root.name + ".tmp"), root.with_name(root.name + ".old")
    console = Console()
    console.print(f"drawing {sum(record[k] for k in keys[3:])} scenes into {root}", highlight=False)
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("images", "labels", "splits"):
        (fresh / name).mkdir(parents=True)
    tasks = [(fresh, split, i, config) for split in keys[3:] for i in range(record[split])]
    # Spawned, because a forked child would share the threads of libraries the parent has loaded.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        drawn = pool.map(_write_scene, *zip(*tasks, strict=True), chunksize=8)
        for _ in track(drawn, "drawing", total=len(tasks), console=console, disable=not console.is_terminal):
            pass
    for split in keys[3:]:
        lines = [f"{split}_{i:04d} {_condition(split, i)}\n" for i in range(record[split])]
        (fresh / "splits" / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
    (fresh / "scenes.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if root.exists():
        root.rename(old)
    fresh.rename(root)
    shutil.rmtree(old, ignore_errors=True)


def _condition(split: str, index: int) -> str:
    return "clear" if split.startswith("source") else ("night", "fog")[index % 2]


def _write_scene(folder: Path, split: str, index: int, config: ScenesConfig) -> None:
    domain: Literal["source", "target"] = "source" if split.startswith("source") else "target"
    start = VAL_START if split.endswith("val") else 0
    scene = draw_scene(
        config.seed, start + index, domain, _condition(split, index), config.height, config.width
    )
    name = f"{split}_{index:04d}.png"
    Image.fromarray(scene.image).save(folder / "images" / name, compress_level=3)
    if split != "target_train" or config.target_labels:
        Image.fromarray(scene.label).save(folder / "labels" / name)


def _read(stamp: Path) -> object:
    try:
        return json.loads(stamp.read_text(encoding="utf-8"))
    except ValueError:
        return None
