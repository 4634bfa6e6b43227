"""Ctrl-C, SIGTERM and SIGHUP: one sentence and exit code 130 at any moment, and nothing half-written stays."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130
SENTENCE = "interrupted: the results written so far are complete; the same command does the rest."
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def leave_at_once() -> None:
    """From now on a signal ends the process with the sentence, even while modules are imported."""
    _handle(_leave)


@contextmanager
def clean_up_first() -> Iterator[None]:
    """Inside, the first signal raises KeyboardInterrupt; one more does not wait for what that cleans up."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def interrupt(number: int, frame: FrameType | None) -> None:
        leave_at_once()
        raise KeyboardInterrupt

    _handle(interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(handler: object) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, and a shell's background jobs
            signal.signal(number, handler)  # type: ignore[arg-type]


def _leave(number: int, frame: FrameType | None) -> None:
    line = f"\r\033[K{SENTENCE}\n" if os.isatty(2) else f"{SENTENCE}\n"
    try:
        os.write(2, line.encode())
    finally:
        os._exit(EXIT_CODE)
