"""Ctrl-C, SIGTERM and SIGHUP: one sentence and exit code 130 at any moment, and nothing half-written stays."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType

EXIT_CODE = 130
SENTENCE = "interrupted: the results written so far are complete; the same command does the rest."
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@dataclass
class _Held:
    depth: int = 0
    signalled: bool = False


_held = _Held()  # of the main thread: signals are handled in no other


def leave_at_once() -> None:
    """From now on a signal ends the process with the sentence, even while modules are imported."""
    _handle(_leave)


@contextmanager
def clean_up_first() -> Iterator[None]:
    """Inside, the first signal raises KeyboardInterrupt; one more does not wait for what that cleans up."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def interrupt(number: int, frame: FrameType | None) -> None:
        leave_at_once()
        if _held.depth:
            _held.signalled = True
        else:
            raise KeyboardInterrupt

    _held.signalled = False
    _handle(interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Inside, the first signal is put off to the end, so be there for fractions of a second.

    Raised within the Python code of a pool or a condition, KeyboardInterrupt would leave a lock taken for ever.
    """
    if current_thread() is not main_thread():
        yield
        return
    _held.depth += 1
    try:
        yield
    finally:
        _held.depth -= 1
        if _held.signalled and not _held.depth:
            _held.signalled = False
            raise KeyboardInterrupt


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
