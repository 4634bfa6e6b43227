"""Input files before they are opened: a pipe would wait for ever, and a folder or an empty file is no picture."""

from __future__ import annotations

import stat
from pathlib import Path

from pipeline.edge.errors import ImageError


def require_file(path: Path, name: str, kind: str) -> None:
    """Raises ImageError unless `path` is a file with something in it; `kind` is "picture" or "video"."""
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise ImageError(f"{name} is a link to a file that is not there: restore or remove it.") from None
        raise ImageError(f"No such {kind}: {name}; check the path.") from None
    except OSError as error:
        raise ImageError(
            f"{name} cannot be opened ({error.strerror}): check the path and its permissions."
        ) from None
    except ValueError:
        raise ImageError(f"{name} has a NUL in its name: a list separated by NULs needs -0.") from None
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{name} is a folder: give a {kind} file.")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{name} is a pipe, socket or device: give a {kind} file.")
    if not status.st_size:
        raise ImageError(f"{name} is empty (0 bytes): copy or save it again.")
