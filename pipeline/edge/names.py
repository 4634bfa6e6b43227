"""What results are called: after their input, none like another's, and short enough for a file system."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path

# Linux takes 255 bytes for a name and 4096 for a path; endings and the part while it is made need some of them.
_NAME_BYTES = 200
_PATH_BYTES = 4000
# Where <name>.json would be the coco.json of all pictures or the masks of another one, or <name>.jsonl the log.
_MEANS_ANOTHER = re.compile(r"picture (coco|.*_rle)|video \.mic-edge", re.IGNORECASE | re.DOTALL)


class Names:
    """Gives each input of a run its target, the path without suffix that its results begin with."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}

    def target(self, below: Path, kind: str) -> Path:
        """For an input of `kind` at `below` its folder: results of a.jpg and a.mp4 may both be called a."""
        name = free = self._short(below.with_suffix(""))
        first = _alike(kind, name)
        number = self._last.get(first, 1)
        while (key := _alike(kind, free)) in self._taken or _MEANS_ANOTHER.fullmatch(key):
            number += 1
            free = name.with_name(f"{name.name}_{number}")
        self._last[first] = number
        self._taken.add(key)
        return self._out / free

    def unused(self, name: str) -> Path:
        """One that no recording has, of an earlier run, of this one or of one that goes on beside it."""
        free, number = Path(name), 1
        while (key := _alike("video", free)) in self._taken or any(
            next(self._out.glob(begins + "[_.]*"), None) for begins in (free.name, f".{free.name}")
        ):
            number += 1
            free = Path(f"{name}_{number}")
        self._taken.add(key)
        return self._out / free

    def _short(self, name: Path) -> Path:
        """Names that are too long end in a hash of the whole, so that another run finds the same."""
        if len(os.fsencode(os.path.abspath(self._out / name))) > _PATH_BYTES:
            return Path(_cut(name.name, str(name)))
        if len(os.fsencode(name.name)) > _NAME_BYTES:
            return name.with_name(_cut(name.name, name.name))
        return name


def _alike(kind: str, name: Path) -> str:
    """The same for names that some file systems do not tell apart: A.png and a.png, or accents in two encodings."""
    return unicodedata.normalize("NFC", f"{kind} {name}".casefold())


def _cut(name: str, whole: str) -> str:
    digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:12]
    kept = os.fsencode(name)[: _NAME_BYTES - len(digest) - 1]
    return f"{kept.decode(errors='ignore')}-{digest}"
