"""Recordings in segments: what has no end is kept in files that are whole a minute later."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, Self

from pipeline.edge.container import Frame
from pipeline.edge.runtime import RawOutput


class Results(Protocol):
    """What is saved of one segment, as of one video."""

    def add(self, frame: Frame, raw: RawOutput) -> None: ...
    def finish(self) -> dict[str, Any]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...


class Segments:
    """Takes frames as `Results` do and begins new ones after `seconds` (0: never), another size or a new connection.

    `make` opens the results of a segment, by its number; `report` gets each segment's record once its files are on
    the disk. Videos begin at 0; what a frame says of its `seconds` is since the recording began.
    """

    def __init__(
        self, make: Callable[[int], Results], seconds: float, report: Callable[[dict[str, Any]], None]
    ) -> None:
        self._make = make
        self._seconds = seconds
        self._report = report
        self._results: Results | None = None
        self._first: Frame | None = None
        self._begun: datetime | None = None  # the recording
        self._number = 0
        self._frames = 0
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._results is not None:
            self._results.__exit__(*error)

    def add(self, frame: Frame, raw: RawOutput) -> None:
        """Called in order, from one thread."""
        if self._first is not None and self._is_over(self._first, frame):
            self._finish_segment()
        if self._results is None or self._first is None:
            self._results = self._make(self._number).__enter__()
            self._first = frame
            self._begun = self._begun or datetime.now(UTC) - timedelta(seconds=frame.seconds)
        self._results.add(replace(frame, time=frame.time - self._first.time), raw)
        self._frames += 1
        self._last = frame.seconds

    def finish(self) -> dict[str, Any]:
        """Put the last segment in its place; the record of the whole recording."""
        self._finish_segment()
        return {"segments": self._number, "frames": self._frames, "seconds": round(self._last, 6)}

    def _is_over(self, first: Frame, frame: Frame) -> bool:
        return (
            frame.connection != first.connection
            or frame.image.shape != first.image.shape
            or 0 < self._seconds <= frame.seconds - first.seconds
        )

    def _finish_segment(self) -> None:
        results, first = self._results, self._first
        if results is None or first is None or self._begun is None:
            return
        self._results = self._first = None  # finished once, whatever happens in between
        with results:
            record = results.finish()
        for path in record["outputs"].values():
            _to_disk(Path(path))
        begun = (self._begun + timedelta(seconds=first.seconds)).isoformat(timespec="milliseconds")
        self._number += 1
        self._report({"segment": self._number - 1, "begun": begun, **record})


def _to_disk(path: Path) -> None:
    """Wait until a power cut cannot take it any more: a file and its name, a folder with all of it."""
    for item in (*path.rglob("*"), path, path.parent):
        if os.name == "nt":  # which opens no folders and flushes no file that it only reads
            return
        descriptor = os.open(item, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
