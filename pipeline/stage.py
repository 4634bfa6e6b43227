"""What all stage commands share: arguments, and a user's mistake as one sentence with exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.edge.errors import UserError
from pipeline.params import METHODS


def stage_arguments(description: str, with_method: bool) -> argparse.ArgumentParser:
    """The arguments of `python -m pipeline.<stage>`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="params file (default: params.yaml)"
    )
    if with_method:
        parser.add_argument("--method", required=True, choices=METHODS, help="training method")
    return parser


def main_guard(command: Callable[[], int]) -> None:
    """Run a command and exit; a UserError becomes one sentence on stderr and its exit code."""
    try:
        sys.exit(command())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
