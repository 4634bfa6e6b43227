"""Faults of a function of the page, as the one sentence that its caller reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from pipeline.edge.errors import UserError

FAILED = "The page failed on this picture: try another."


@contextmanager
def spoken() -> Iterator[None]:
    """A UserError as its sentence; anything else as FAILED, with one line for whoever runs the page."""
    try:
        yield
    except gr.Error:
        raise
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " ")[:300], file=sys.stderr)
        raise gr.Error(FAILED, print_exception=False) from None
