"""What is saved of a picture or frame, and files that are whole or absent."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Self

import numpy as np

from pipeline.edge import polygons, render, rle
from pipeline.edge.classes import CLASSES, SegClass
from pipeline.edge.errors import UserError
from pipeline.edge.runtime import Segmentation

SHAPES = {"rle": "_rle.json", "polygons": "_polygons.geojson"}
"""What `--save` calls them and how their files end."""


def beside(target: Path, ending: str) -> Path:
    """`target` (a path without suffix, whose name may hold dots) with an ending: a -> a_index.png."""
    return target.with_name(target.name + ending)


def part(path: Path) -> Path:
    """Where a file or folder is made before it is renamed to `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside and rename, so that a file is whole or absent. Raises UserError."""
    made = part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(content)
        made.replace(path)
    except OSError as error:
        raise cannot_write(path, error.strerror) from None
    finally:
        made.unlink(missing_ok=True)


class LineFile:
    """JSON lines written beside `path` and renamed to it by `finish`. Raises UserError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = part(path).open("w", encoding="utf-8")
        except OSError as error:
            raise cannot_write(path, error.strerror) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what it still held is thrown away with it
            self._file.close()
        part(self._path).unlink(missing_ok=True)

    def add(self, record: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise cannot_write(self._path, error.strerror) from None

    def finish(self) -> Path:
        try:
            self._file.close()
            return part(self._path).replace(self._path)
        except OSError as error:
            raise cannot_write(self._path, error.strerror) from None


def cannot_write(path: Path, reason: str | None) -> UserError:
    """The sentence for a result that could not be written."""
    return UserError(f"Cannot write {path} ({reason}): check space and permissions.")


def shapes_json(kind: str, name: str, classes: np.ndarray, known: tuple[SegClass, ...]) -> bytes:
    """The areas of each class of one picture or frame, "rle" or "polygons"; `known` are the manifest's classes."""
    shapes = {"rle": rle.as_json, "polygons": polygons.as_json}[kind](classes, known)
    return (json.dumps({"input": name, **shapes}) + "\n").encode()


def findings(result: Segmentation, read_milliseconds: float) -> dict[str, Any]:
    """The numbers of one picture or frame: class shares (largest first), confidence, milliseconds by step."""
    shares = render.class_shares(result.classes)
    times = {"read": read_milliseconds, **result.milliseconds}
    return {
        "classes": {CLASSES[i].name: round(share, 6) for i, share in shares.items()},
        "mean_confidence": round(result.mean_confidence, 4),
        "milliseconds": {step: round(value, 2) for step, value in times.items()},
    }
