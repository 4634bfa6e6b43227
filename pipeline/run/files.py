"""Files that are whole or absent: written beside and renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.edge.errors import UserError


def read_json(path: Path, made_by: str) -> Any:
    """What a stage has left. Raises UserError, which names the command `made_by`, where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run `{made_by}` first") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged or cut short: run `{made_by}` again") from None


@contextmanager
def replacing(path: Path, writer: str = "") -> Iterator[Path]:
    """A name beside `path`, of the same suffix, to write to: it takes the place of `path`, or goes if writing fails.

    The folder is made. `writer` tells those apart that may write the same file at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}{writer}.tmp{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file at once; its folder is made."""
    with replacing(path) as beside:
        beside.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file at once; NaN is refused (ValueError), since it is no JSON."""
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
