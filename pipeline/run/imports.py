"""Ctrl-C while the libraries of a command are imported, which takes seconds: a quiet end, for nothing has begun."""

from __future__ import annotations

import _signal as signal  # type: ignore[import]  # built in: mic-edge's own first milliseconds go without Python's module
import sys


def for_a_command() -> bool:
    """Whether this package is imported for `python -m` or mic-edge: another program keeps its own ways."""
    program = sys.argv[0].replace("\\", "/").rpartition("/")[2] if sys.argv else ""
    return program == "-m" or program.startswith("mic-edge")


def end_quietly() -> None:
    """From now on Ctrl-C ends the process without a traceback, unless it is ignored or handled already."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_interrupts() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt again, unless it is ignored (nohup)."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
