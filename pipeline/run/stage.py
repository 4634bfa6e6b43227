"""What all stage commands share: arguments, and a user's mistake as one sentence with exit code 2."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.edge.errors import UserError
from pipeline.params import METHODS
from pipeline.run.imports import raise_interrupts

INTERRUPTED = 130  # as shells say of SIGINT
DISK_FIXES = {
    errno.ENOSPC: "free some space and run it again",
    errno.EDQUOT: "free some of your quota and run it again",
    errno.EROFS: "run it in a folder that can be written",
    errno.EACCES: "give yourself the right to read and write it",
    errno.EPERM: "give yourself the right to read and write it",
}


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
    """Run a command and exit: UserErrors, Ctrl-C and a disk or memory that gives no more end in one sentence."""
    raise_interrupts()
    try:
        sys.exit(command())
    except UserError as error:
        sentence, code = str(error), error.exit_code
    except KeyboardInterrupt:
        sentence, code = "interrupted; what was written before stays", INTERRUPTED
    except OSError as error:
        if error.errno not in DISK_FIXES:
            raise
        place = error.filename if error.filename is not None else "the output folder"
        sentence, code = f"{place}: {error.strerror}; {DISK_FIXES[error.errno]}", UserError.exit_code
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        sentence = "the memory does not suffice; set a smaller batch_size or crop in the params file"
        code = UserError.exit_code
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(code)


def _is_out_of_memory(error: Exception) -> bool:
    """Torch raises a plain RuntimeError where the CPU's memory ends, so its words are asked.

    It raises one, too, wherever the main process is, when the kernel has killed a worker that reads pictures.
    """
    words = str(error).lower()
    killed = "dataloader worker" in words and "killed" in words
    return (
        isinstance(error, MemoryError)
        or killed
        or "out of memory" in words
        or "can't allocate memory" in words
    )
