"""Mistakes a person can mend: one sentence each, with the file, the value and the fix."""

from __future__ import annotations


class UserError(Exception):
    """A mistake of the user's; printed as one sentence, never as a traceback."""

    exit_code = 2


class ImageError(UserError):
    """A picture that cannot be read or is refused."""


class BadModel(UserError):  # noqa: N818  reads as what it is
    """An .onnx file or manifest that is not a sound mic-adapt model."""

    exit_code = 3


class ProviderMissing(UserError):  # noqa: N818
    """The execution provider asked for is not available."""

    exit_code = 4


class CannotWrite(UserError):  # noqa: N818
    """The disk or stdout takes no more: no input's fault, so it ends the run."""

    exit_code = 6


class ReaderGone(CannotWrite):
    """Nobody reads stdout any more (mic-edge ... | head): the end, and nothing to complain of."""
