"""The log that a run leaves in its results folder, a JSON line for each input done: how that folder is known, too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipeline.edge.errors import CannotWrite

LOG = ".mic-edge.jsonl"


def read_log(folder: Path) -> tuple[dict[str, dict[str, Any]], list[int]]:
    """The entries by key, later ones win, and the numbers of the lines that are none, which count as not there.

    The last line does not count among these where it has no end: a crash cut it off. Raises CannotWrite for a
    log that is closed to us, for so it cannot be kept.
    """
    path = folder / LOG
    try:
        lines = path.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except OSError as error:
        raise CannotWrite(
            f"{path} cannot be read ({error.strerror}): check its permissions, or remove it."
        ) from None
    entries: dict[str, dict[str, Any]] = {}
    damaged = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if not all(isinstance(name, str) for name in entry["outputs"].values()):
                raise TypeError
            entries[str(entry["key"])] = entry
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # ValueError: no UTF-8, too
            if line.strip() and number < len(lines):
                damaged.append(number)
    return entries, damaged


def ends_whole(folder: Path) -> bool:
    """Whether a line can be added as it is: a crash may have cut the last one off."""
    try:
        with (folder / LOG).open("rb") as log:
            log.seek(-1, os.SEEK_END)
            return log.read() == b"\n"
    except OSError:  # there is none, or it is empty
        return True


def logged_results(folder: Path) -> set[str]:
    """Real paths of all results that runs left in `folder` or, with its name, in one around it."""
    results = set()
    real = Path(os.path.realpath(folder))
    for around in (real, *real.parents):
        if os.path.exists(around / LOG):
            entries, _ = read_log(around)
            names = (name for entry in entries.values() for name in entry["outputs"].values())
            results |= {os.path.realpath(around / name) for name in names}
    return results
