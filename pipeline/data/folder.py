"""Walking a folder of a data set: links are followed, and nothing that may be a picture goes unmentioned."""

from __future__ import annotations

import os
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.edge.images import SUFFIXES

# What storage boxes, systems and programs put beside pictures: thumbnails, bins, metadata.
_SERVICE_FOLDERS = frozenset(
    {
        "__macosx",
        "__pycache__",
        "lost+found",
        "system volume information",
        "$recycle.bin",
        "recycler",
        "#recycle",
    }
    | {"#snapshot", "thumbs", "thumbnail", "thumbnails"}
)

Key = tuple[int, int]


@dataclass
class Walked:
    """The files below a folder, and what was met on the way."""

    files: dict[str, Path] = field(default_factory=dict)
    """Path relative to the folder -> file, sorted by folder; hidden ones are left out."""
    hidden: Counter[str] = field(default_factory=Counter)
    """Name of a hidden or service folder, or "hidden files" -> pictures in it."""
    broken: list[Path] = field(default_factory=list)
    """Links that lead nowhere, or to what may not be opened."""
    closed: list[Path] = field(default_factory=list)
    """Folders that may not be opened."""
    repeated: list[Path] = field(default_factory=list)
    """Links to a folder that is in the list under another name."""
    odd: list[Path] = field(default_factory=list)
    """Pipes, sockets and devices with the name of a picture."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name holds no data: dot files, @eaDir, thumbnails, bins."""
    return name.startswith((".", "@")) or name.lower() in _SERVICE_FOLDERS


def walk(folder: Path, repeat: bool = False) -> Walked:
    """All files below `folder`, links followed, but never into a folder that they lie in themselves.

    A folder that links show under several names is listed once, under its own name where it has one; with `repeat`
    each time: labels may serve several pictures.
    """
    walked = Walked()
    found: dict[str, Path] = {}
    seen: set[Key] = set()
    # Folders go to the front and links to the back, so that real folders come first and keep their names.
    waiting: deque[tuple[Path, str, frozenset[Key]]] = deque([(folder, "", frozenset())])
    while waiting:
        here, below, parents = waiting.popleft()
        try:
            stat = here.stat()
            entries = sorted(os.scandir(here), key=lambda e: e.name)
        except OSError:
            walked.closed.append(here)
            continue
        key = (stat.st_dev, stat.st_ino)
        if key in parents:
            continue
        if key in seen and not repeat:
            walked.repeated.append(here)
            continue
        seen.add(key)
        for entry in entries:
            path, linked = here / entry.name, entry.is_symlink()
            if is_hidden(entry.name):
                _count_hidden(entry, walked)
            elif os.path.isdir(path) if linked else entry.is_dir():
                (waiting.append if linked else waiting.appendleft)(
                    (path, f"{below}{entry.name}/", parents | {key})
                )
            elif os.path.isfile(path) if linked else entry.is_file():
                found[below + entry.name] = path
            elif linked:
                walked.broken.append(path)
            elif path.suffix.lower() in SUFFIXES:
                walked.odd.append(path)
    walked.files = {name: found[name] for name in sorted(found, key=lambda n: n.split("/"))}
    return walked


def _count_hidden(entry: os.DirEntry[str], walked: Walked) -> None:
    if entry.is_dir(follow_symlinks=False):
        inside = sum(_is_picture(name) for _, _, names in os.walk(entry.path) for name in names)
        if inside:
            walked.hidden[entry.name] += inside
    elif _is_picture(entry.name):
        walked.hidden["hidden files"] += 1


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES
