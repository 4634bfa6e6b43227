"""How far it is: JSON lines on stdout; on stderr a counter with the time left and, at the end, the failures."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.edge.streams import is_terminal, say, write_line

_SHOWN = 20
_EVERY_SECONDS = 0.1
_EVERY_SECONDS_IN_A_LOG = 10.0


class Progress:
    """For `pictures` and `videos` to do and `already_done` inputs that an earlier run did."""

    def __init__(self, pictures: int, videos: int, already_done: int) -> None:
        self._total = {"picture": pictures, "video": videos}
        self._already_done = already_done
        self._done = Counter[str]()
        self.failures: list[tuple[str, str]] = []
        """(input, sentence)"""
        self._warnings: list[str] = []
        self._terminal = is_terminal()
        self._every = _EVERY_SECONDS if self._terminal else _EVERY_SECONDS_IN_A_LOG
        self._start = self._shown = time.monotonic()

    def line(self, record: dict[str, Any]) -> None:
        """One JSON line on stdout."""
        if self._terminal:
            say("", end="")  # takes the counter away
        write_line(json.dumps(record))  # ASCII: safe for any locale and file name

    def finished(self, kind: str, record: dict[str, Any]) -> None:
        """A picture or video is done, or failed where the record has an "error"."""
        self.line(record)
        self._done[kind] += 1
        if "error" in record:
            self.failures.append((record["input"], record["error"]))
        self._warnings += [f"{record['input']}: {told}" for told in record.get("warnings", ())]
        done, total = self._done["picture"], self._total["picture"]
        if kind == "picture" and self._is_time():
            seconds = time.monotonic() - self._start
            left = _duration(seconds / done * (total - done))
            self._show(f"{done}/{total} pictures, {done / seconds:.1f}/s, {left} left")

    def frame(self, name: str, number: int, share: float | None, seconds: float) -> None:
        """Frame `number` (from 1) of a video is done after `seconds`; `share` (0..1) of it, None if endless."""
        if not self._is_time():
            return
        rate = f"{number / max(seconds, 1e-6):.1f} frames/s"
        if share:
            left = _duration(seconds / share * (1 - share))
            self._show(f"{name}: {share * 100:.0f} %, {rate}, {left} left")
        else:
            self._show(f"{name}: {number} frames, {rate}")

    def end(self, out: Path, failures_file: Path) -> None:
        """The failures (the first of them; all are in `failures_file`) and the sum."""
        for told in self._warnings[:_SHOWN]:
            say(f"warning: {told}")
        if len(self._warnings) > _SHOWN:
            say(f"and {len(self._warnings) - _SHOWN} more warnings, see the lines on stdout")
        for _, sentence in self.failures[:_SHOWN]:
            say(f"error: {sentence}")
        if len(self.failures) > _SHOWN:
            say(f"and {len(self.failures) - _SHOWN} more errors, see {failures_file}")
        counts = [f"{n} {kind}{'s' * (n != 1)}" for kind, n in self._total.items() if n] or ["nothing to do"]
        parts = [f"{' and '.join(counts)} in {_duration(time.monotonic() - self._start)}"]
        if self._already_done:
            parts.append(f"{self._already_done} already done")
        if self.failures:
            parts.append(f"{len(self.failures)} failed")
        say(f"{', '.join(parts)}; results in {out}")

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._shown < self._every:
            return False
        self._shown = now
        return True

    def _show(self, text: str) -> None:
        say(text, end="" if self._terminal else "\n")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
