"""What the inputs of `mic-edge predict` name: pictures, videos and a camera, and where their results go."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pipeline.edge.errors import UserError
from pipeline.edge.images import SUFFIXES

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts"}
    | {".webm", ".wmv"}
)
# Where <name>.json would be the coco.json of all pictures, or the masks of another one.
_MEANS_ANOTHER = re.compile(r"^picture (coco|.*_rle)$", re.IGNORECASE)
_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Source:
    """A picture, video or camera, and the path, without suffix, that its results begin with."""

    kind: Literal["picture", "video", "camera"]
    path: Path
    target: Path


def plan(inputs: list[str], out: Path, stdin: BinaryIO) -> list[Source]:
    """What to do for these inputs: results keep the path below the folder named, and never collide.

    An input is a file, a folder (searched recursively), a pattern such as "shots/**/*.jpg", the number of a
    camera, or "-" for a list of paths on `stdin`, one a line. A file named outright is kept whatever its suffix;
    one named twice comes once. Where `out` lies inside a folder named, what is in it is not taken for input.

    Raises UserError for a missing path, a folder or pattern without a picture or video, no such camera, and an
    `out` that is a file or a folder of inputs itself.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: name a folder.")
    sources: list[Source] = []
    seen: set[Path] = set()
    taken: set[str] = set()
    for item in inputs:
        if _is_camera(item):
            if any(source.kind == "camera" for source in sources):
                raise UserError(f"Camera {item} is a second one: name one, for its video has no end.")
            device = _camera_device(item)
            sources.append(Source("camera", device, _unused(out / f"camera{item}")))
            continue
        for file, below in _named(item, out, stdin):
            name = Path(os.path.abspath(file))  # not resolved: links to one picture are pictures of their own
            if name in seen:
                continue
            seen.add(name)
            kind = "video" if file.suffix.lower() in VIDEO_SUFFIXES else "picture"
            sources.append(Source(kind, file, out / _free_name(below.with_suffix(""), kind, taken)))
    if not sources:
        raise UserError(f"Nothing to do: the inputs name no picture or video outside --out {out}.")
    return sources


def _named(item: str, out: Path, stdin: BinaryIO) -> Iterator[tuple[Path, Path]]:
    """(file, path that its results keep) for all that one input names."""
    path = Path(item)
    if item == "-":
        yield from _listed(out, stdin)
    elif path.is_dir():
        yield from _below(path, [path], out, f"in the folder {item}")
    elif path.exists():
        yield path, Path(path.name)
    elif _WILDCARD.search(item):
        fixed = Path(*_before_wildcard(path))
        matches = (Path(match) for match in sorted(glob.glob(item, recursive=True)))
        yield from _below(fixed, matches, out, f"matches the pattern {item}")
    else:
        raise UserError(f"No such file or folder: {item}; check the path.")


def _below(
    folder: Path, found: Iterator[Path] | list[Path], out: Path, where: str
) -> Iterator[tuple[Path, Path]]:
    """The pictures and videos among `found`, and inside the folders among them, that are no results."""
    results = out.resolve()
    if folder.resolve() == results:
        raise UserError(f"--out {out} is also an input: name another folder for the results.")
    results_inside = folder.resolve() in results.parents
    empty = True
    for item in found:
        for file in sorted(p for p in item.rglob("*")) if item.is_dir() else (item,):
            below = file.relative_to(folder)
            if not _is_input_name(below) or not file.is_file():
                continue
            empty = False
            if not (results_inside and results in file.resolve().parents):
                yield file, below
    if empty:
        raise UserError(f"No picture or video {where}: name files with a suffix such as .jpg, .png or .mp4.")


def _listed(out: Path, stdin: BinaryIO) -> Iterator[tuple[Path, Path]]:
    """A path that is missing stays in: it fails on its own, as one that vanishes a moment later would."""
    results = out.resolve()
    results_inside = Path.cwd().resolve() in results.parents
    for line in stdin:
        text = os.fsdecode(line.rstrip(b"\r\n"))
        path = Path(text)
        if not text:
            continue
        if path.is_dir():
            yield from _below(path, [path], out, f"in the folder {text}")
        elif path.is_absolute() or ".." in path.parts:
            yield path, Path(path.name)
        elif not (results_inside and results in path.resolve().parents):
            yield path, path


def _before_wildcard(pattern: Path) -> list[str]:
    parts = pattern.parts
    return list(parts[: next(i for i, part in enumerate(parts) if _WILDCARD.search(part))])


def _is_input_name(below: Path) -> bool:
    known = below.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES
    return known and not any(part.startswith(".") for part in below.parts)


def _is_camera(item: str) -> bool:
    return item.isdecimal() and not Path(item).exists()


def _camera_device(number: str) -> Path:
    if not sys.platform.startswith("linux"):
        raise UserError(f"Camera {number}: cameras are read on Linux alone; name a video file instead.")
    device = Path(f"/dev/video{number}")
    if not device.exists():
        raise UserError(f"No camera {number}: {device} does not exist; connect it or name a file.")
    return device


def _free_name(name: Path, kind: str, taken: set[str]) -> Path:
    """Results of a.jpg and a.mp4 have other endings, so that both may be called a."""
    free, number = name, 1
    # lower: some file systems do not tell A.png from a.png
    while f"{kind} {free}".lower() in taken or _MEANS_ANOTHER.search(f"{kind} {free}"):
        number += 1
        free = name.with_name(f"{name.name}_{number}")
    taken.add(f"{kind} {free}".lower())
    return free


def _unused(target: Path) -> Path:
    """A name that no earlier recording has."""
    free, number = target, 1
    while list(target.parent.glob(f"{free.name}[_.]*")):
        number += 1
        free = target.with_name(f"{target.name}_{number}")
    return free
