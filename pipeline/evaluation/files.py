"""Files that are whole or absent: written beside and renamed."""

from __future__ import annotations

import json
import os
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


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file at once; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(content)
    os.replace(beside, path)


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file at once; NaN is refused (ValueError), since it is no JSON."""
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
