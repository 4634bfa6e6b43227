"""What is saved of a picture or frame, and files that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Self

import numpy as np

from pipeline.edge import polygons, render, rle
from pipeline.edge.backend import reason
from pipeline.edge.classes import CLASSES, SegClass
from pipeline.edge.errors import CannotWrite, UserError
from pipeline.edge.runtime import Segmentation

SHAPES = {"rle": "_rle.json", "polygons": "_polygons.geojson"}
"""What `--save` calls them and how their files end."""
_OF_THE_NAME = {errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
_OF_THE_NAME |= {errno.ENOTDIR, errno.ENOTEMPTY}
_PART = re.compile(r"\..+\.(\d+)\.part", re.DOTALL)


def beside(target: Path, ending: str) -> Path:
    """`target` (a path without suffix, whose name may hold dots) with an ending: a -> a_index.png."""
    return target.with_name(target.name + ending)


def part(path: Path) -> Path:
    """Where a file or folder is made before it is renamed to `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def remove_abandoned(out: Path) -> None:
    """Files and folders half made by runs that were killed: their processes are gone, or had our number before us."""
    for folder, folders, files in os.walk(out):
        for name in (*folders, *files):
            if (made_by := _PART.fullmatch(name)) and not _is_alive(int(made_by[1])):
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        folders[:] = [name for name in folders if not _PART.fullmatch(name)]


def _is_alive(process: int) -> bool:
    if process == os.getpid():
        return False
    if os.name == "nt":  # where to ask a process is to interrupt it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside and rename, so that a file is whole or absent. Raises UserError."""
    made = part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(content)
        made.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with contextlib.suppress(OSError):  # there is none where its name or folder was refused
            made.unlink(missing_ok=True)


class LineFile:
    """JSON lines written beside `path` and renamed to it by `finish`. Raises UserError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = part(path).open("w", encoding="utf-8")
        except OSError as error:
            raise cannot_write(path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what it still held is thrown away with it
            self._file.close()
        with contextlib.suppress(OSError):
            part(self._path).unlink(missing_ok=True)

    def add(self, record: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise cannot_write(self._path, error) from None

    def finish(self) -> Path:
        try:
            self._file.close()
            return part(self._path).replace(self._path)
        except OSError as error:
            raise cannot_write(self._path, error) from None


def cannot_write(path: Path, error: Exception) -> UserError:
    """CannotWrite where the disk or a folder refuses; a plain UserError where the name or the content does."""
    if not isinstance(error, OSError):  # an encoder's
        return UserError(f"{path} cannot be made ({reason(error)}): do without it, see --save.")
    if error.errno in _OF_THE_NAME:
        return UserError(f"Cannot write {path} ({error.strerror}): rename the input, or what is in the way.")
    return CannotWrite(f"Cannot write {path} ({error.strerror}): check space and permissions.")


def shapes_json(kind: str, name: str, classes: np.ndarray, known: tuple[SegClass, ...]) -> bytes:
    """The areas of each class of one picture or frame, "rle" or "polygons"; `known` are the manifest's classes."""
    shapes = {"rle": rle.as_json, "polygons": polygons.as_json}[kind](classes, known)
    return (json.dumps({"input": name, **shapes}) + "\n").encode()


def findings(result: Segmentation, read_milliseconds: float) -> dict[str, Any]:
    """The numbers of one picture or frame: class shares (largest first), share ignored, confidence, milliseconds."""
    shares = render.class_shares(result.classes)
    times = {"read": read_milliseconds, **result.milliseconds}
    return {
        "classes": {CLASSES[i].name: round(share, 6) for i, share in shares.items()},
        **({} if result.ignored is None else {"ignored": round(result.ignored, 6)}),
        "mean_confidence": round(result.mean_confidence, 4),
        "milliseconds": {step: round(value, 2) for step, value in times.items()},
    }
