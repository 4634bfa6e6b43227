"""Files that are whole or absent: written beside and renamed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file at once; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(content)
    os.replace(beside, path)


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file at once; NaN is refused (ValueError), since it is no JSON."""
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
