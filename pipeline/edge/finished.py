"""What earlier runs finished: a log in the results folder, one line for each picture and video."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pipeline.edge.log import LOG, ends_whole, read_log
from pipeline.edge.results import cannot_write
from pipeline.edge.sources import Source
from pipeline.edge.streams import say

Stamp = list[int]


class Finished:
    """The log of `out`. `made_by` names model and settings: results of others do not count.

    Nor do those of videos of which other frames were taken: one of `every`.

    A line is written once all results of its input are in place. It holds the input's size and time of change,
    for a picture that was replaced, even by an older one, is to be done again.
    """

    def __init__(self, out: Path, made_by: str, every: int = 1) -> None:
        self._out = out
        self._made_by = made_by
        self._every = every
        self._entries, damaged = read_log(out)
        if damaged:
            lines = ", ".join(map(str, damaged[:5])) + (", ..." if len(damaged) > 5 else "")
            say(f"warning: {out / LOG} is damaged in line {lines}: what stood there is done again.")
        self._before = b"" if ends_whole(out) else b"\n"
        self._append(
            b""
        )  # a run is known by its log, also before anything is done; and one that cannot write ends here

    def holds(self, source: Source, save: tuple[str, ...]) -> bool:
        """Whether all that `save` names is there, made by the same model from the input as it is now."""
        entry = self._entries.get(self._key(source))
        return (
            entry is not None
            and entry.get("made_by") == self._made_by
            and entry.get("input") == os.path.abspath(source.path)
            and (source.kind == "picture" or entry.get("every", 1) == self._every)
            and entry.get("stamp") == stamp(source.path)
            and set(save) <= set(entry.get("outputs", ()))
            and all(os.path.exists(self._out / entry["outputs"][kind]) for kind in save)
        )

    def pictures(self, kind: str) -> list[Path]:
        """The results of that kind of all pictures that this model did, in this run or before, by name."""
        entries = (self._entries[key] for key in sorted(self._entries) if key.startswith("picture "))
        names = (e["outputs"].get(kind) for e in entries if e.get("made_by") == self._made_by)
        return [path for path in (self._out / name for name in names if name) if path.is_file()]

    def add(self, source: Source, seen: Stamp | None, outputs: dict[str, str]) -> None:
        """Note that `outputs` (kind -> path) are whole; `seen` is the input's stamp before it was read."""
        entry = {
            "key": self._key(source),
            "input": os.path.abspath(source.path),
            "stamp": seen,
            "made_by": self._made_by,
            "every": self._every,
            "outputs": {kind: os.path.relpath(path, self._out) for kind, path in outputs.items()},
        }
        self._append(self._before + json.dumps(entry).encode() + b"\n")
        self._before = b""
        self._entries[entry["key"]] = entry

    def _append(self, line: bytes) -> None:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            with (self._out / LOG).open("ab") as log:
                log.write(line)
        except OSError as error:
            raise cannot_write(self._out / LOG, error) from None

    def _key(self, source: Source) -> str:
        return f"{source.kind} {os.path.relpath(source.target, self._out)}"


def stamp(path: Path) -> Stamp | None:
    """[bytes, time of change in nanoseconds]; None where there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return [status.st_size, status.st_mtime_ns]
