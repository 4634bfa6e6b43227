"""Inputs that fail: one sentence each, whatever was raised, and the list of them in the results folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.edge.backend import reason
from pipeline.edge.errors import BadModel, CannotWrite, ProviderMissing, UserError
from pipeline.edge.results import cannot_write, write_atomic
from pipeline.edge.streams import one_line

FAILURES = "failures.txt"


def sentence(error: Exception, name: object) -> str:
    """Why the input `name` failed. Raises the error again where the input is not to blame: it ends the run."""
    if isinstance(error, BadModel | CannotWrite | ProviderMissing):
        raise error
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{name} is too large for this machine's memory: make it smaller first."
    if isinstance(error, OSError) and error.strerror:
        return f"{name} cannot be read ({error.strerror}): check the path and its permissions."
    return f"{name} failed ({type(error).__name__}: {reason(error)}): copy or save it again."


def list_failures(failures: list[tuple[str, str]], out: Path) -> None:
    """(input, sentence) each as a line, with a tab between, in failures.txt; without any, no such file."""
    path = out / FAILURES
    if failures:
        lines = "".join(f"{one_line(name)}\t{one_line(told)}\n" for name, told in failures)
        write_atomic(path, lines.encode(errors="surrogateescape"))
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from None
