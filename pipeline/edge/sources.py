"""What the inputs of `mic-edge predict` name: pictures, videos, streams and a camera, and where their results go."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from pipeline.edge.addresses import file_name, is_address, masked, scheme
from pipeline.edge.errors import UserError
from pipeline.edge.images import SUFFIXES
from pipeline.edge.unread import VIDEO_SUFFIXES

# Where <name>.json would be the coco.json of all pictures, or the masks of another one.
_MEANS_ANOTHER = re.compile(r"^picture (coco|.*_rle)$", re.IGNORECASE)
_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Source:
    """A picture, video, camera or stream, and the path, without suffix, that its results begin with."""

    kind: Literal["picture", "video", "camera", "stream"]
    path: Path
    """Of a stream only what to call it."""
    target: Path
    address: str | None = field(default=None, repr=False)
    """Of a stream, with what is secret in it."""

    @property
    def name(self) -> str:
        """What it is called wherever it is shown."""
        return masked(self.address) if self.address else str(self.path)


def plan(inputs: list[str], out: Path, stdin: BinaryIO) -> list[Source]:
    """What to do for these inputs: results keep the path below the folder named, and never collide.

    An input is a file, a folder (searched recursively), a pattern such as "shots/**/*.jpg", the number of a
    camera, an address such as rtsp://host/live, or "-" for a list of these on `stdin`, one a line. A file named
    outright is kept whatever its suffix; one named twice comes once. Where `out` lies inside a folder named, what is
    in it is not taken for input.

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
            device = _camera_device(item)
            sources.append(Source("camera", device, _unused(out / f"camera{item}", taken)))
            continue
        for found in _named(item, out, stdin):
            if isinstance(found, str):
                sources.append(_stream(found, out, taken))
                continue
            file, below = found
            name = Path(os.path.abspath(file))  # not resolved: links to one picture are pictures of their own
            if name in seen:
                continue
            seen.add(name)
            kind = "video" if file.suffix.lower() in VIDEO_SUFFIXES else "picture"
            sources.append(Source(kind, file, out / _free_name(below.with_suffix(""), kind, taken)))
    _refuse_two_without_end(sources)
    if not sources:
        raise UserError(f"Nothing to do: the inputs name no picture or video outside --out {out}.")
    return sources


def _named(item: str, out: Path, stdin: BinaryIO) -> Iterator[tuple[Path, Path] | str]:
    """(file, path that its results keep) for all that one input names; an address as it is."""
    path = Path(item)
    if item == "-":
        yield from _listed(out, stdin)
    elif is_address(item):
        yield item
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


def _listed(out: Path, stdin: BinaryIO) -> Iterator[tuple[Path, Path] | str]:
    """A path that is missing stays in: it fails on its own, as one that vanishes a moment later would."""
    results = out.resolve()
    results_inside = Path.cwd().resolve() in results.parents
    for line in stdin:
        text = os.fsdecode(line.rstrip(b"\r\n"))
        path = Path(text)
        if not text:
            continue
        if is_address(text):
            yield text
        elif path.is_dir():
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


def _stream(address: str, out: Path, taken: set[str]) -> Source:
    name = file_name(address)
    return Source("stream", Path(name), _unused(out / name, taken), address)


def _refuse_two_without_end(sources: list[Source]) -> None:
    """A web server's videos mostly have an end; which of them do is known once they are open."""
    endless = [
        s for s in sources if s.kind == "camera" or not scheme(s.address or "http://").startswith("http")
    ]
    if len(endless) > 1:
        raise UserError(
            f"{endless[1].name} is a second input without an end: name one, and run it on its own."
        )


def _unused(target: Path, taken: set[str]) -> Path:
    """A name that no recording has, of an earlier run, of this one or of one that goes on beside it."""
    free, number = target, 1
    while f"video {free.name}".lower() in taken or any(
        next(target.parent.glob(begins + "[_.]*"), None) for begins in (free.name, f".{free.name}")
    ):
        number += 1
        free = target.with_name(f"{target.name}_{number}")
    taken.add(f"video {free.name}".lower())
    return free
