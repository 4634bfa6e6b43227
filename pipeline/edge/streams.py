"""What mic-edge prints: on stdout lines for programs, whole or the run ends; on stderr sentences for people."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator

from pipeline.edge.errors import CannotWrite, ReaderGone

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def hold_closed() -> None:
    """Where stdin, stdout or stderr are closed, give their numbers away, lest libraries complain into a result."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def write_line(text: str) -> None:
    """On stdout. Raises CannotWrite for a full or closed one, ReaderGone where nobody reads it any more."""
    if sys.stdout is None:
        raise CannotWrite("Standard output is closed: send it to a file or to /dev/null.")
    with _writing():
        print(text, flush=True)


def flush() -> None:
    """What is printed already goes out. Raises as `write_line`."""
    if sys.stdout is not None:
        with _writing():
            sys.stdout.flush()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What is left goes to nowhere: at its end Python would try to write it once more, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise ReaderGone("The reader of standard output has gone.") from None
        raise CannotWrite(f"Cannot write to standard output ({error.strerror}): check its space.") from None


def is_terminal() -> bool:
    """Whether somebody watches stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def say(text: str, end: str = "\n") -> None:
    """On stderr, in one line; on a terminal in the place of the counter. Where it is full or closed, nobody is told."""
    if sys.stderr is None:  # print would take stdout
        return
    with contextlib.suppress(OSError):
        print("\r\033[K" * is_terminal() + one_line(text), end=end, file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """`text` with its control characters as escapes: names may hold line ends and commands to the terminal."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
