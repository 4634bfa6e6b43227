"""Pictures as they come in: which files may be opened, and how they are decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.folder import Folder
from app.limits import MAX_PIXELS, MAX_SIDE
from pipeline.edge.errors import ImageError, UserError
from pipeline.edge.images import read_reduced

NO_PICTURE = "No picture came with the request: send an image file."
NOT_HERE = "The picture is not among the page's uploads: upload it first."
"""The one answer to every other path, whether a file lies there or not."""

_NAME_LENGTH = 120


@dataclass(frozen=True)
class Upload:
    """A picture as it came in: its file, and the name that the visitor knows it by."""

    path: Path
    name: str

    @classmethod
    def from_path(cls, path: Path) -> Upload:
        """A file of ours."""
        return cls(path, path.name)

    @classmethod
    def from_record(cls, record: Any, folder: Folder) -> Upload:
        """A file record of gradio's, as it came from outside: only the page's own folder is opened, never an address.

        Raises UserError, in the same words for a file that is missing and one that is forbidden.
        """
        if record is None:
            raise UserError(NO_PICTURE)
        given = record.get("path") if isinstance(record, dict) else None
        path = folder.holds(given) if isinstance(given, str) else None
        if path is None:
            raise UserError(NOT_HERE)
        name = record.get("orig_name")
        return cls(path, _shown_name(name) if isinstance(name, str) else path.name)

    def read(self) -> tuple[np.ndarray, tuple[int, int]]:
        """The decoded picture, reduced where it is far larger than the page needs, and its (height, width) as it came.

        ImageError's sentence names the visitor's file, not our temporary one.
        """
        if not self.path.is_file():
            raise ImageError(f"{self.name} is no longer kept: choose it again.")
        return read_reduced(self.path, MAX_SIDE, MAX_PIXELS, self.name)


def _shown_name(name: str) -> str:
    """The last part of a name, short and printable: it is repeated on the page and in sentences."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:_NAME_LENGTH] or "picture"
