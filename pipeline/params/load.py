"""params.yaml read and checked: every mistake as one sentence.

An unknown key is refused with the nearest right name; a wrong value with its key path, the value and what is allowed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.edge.errors import UserError
from pipeline.params.mistakes import sentence
from pipeline.params.section import Section
from pipeline.params.whole import Params
from pipeline.params.yaml_file import read_yaml

FORMER = {"export.parity_agreement": "the export is held to torch in float64 and ties are counted"}
"""Keys of older params files that decide nothing any more, and why."""

Block = TypeVar("Block", bound=Section)
SAID = 10  # mistakes of a file that are told at once


def load_params(path: Path = Path("params.yaml"), changes: Mapping[str, Any] | None = None) -> Params:
    """Read and check a params file; `changes` maps key paths (`train.uda.tau`) to values that replace its own.

    Raises:
        UserError: the file is missing, no YAML, or has an unknown key or a wrong value.
    """
    raw = read_yaml(path, "run from the project folder or pass --params FILE")
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else type(raw).__name__
        raise UserError(f"{path} must hold keys such as seed, data, network and train, not {found}")
    for key, value in (changes or {}).items():
        *blocks, field = key.split(".")
        block = raw
        for name in blocks:
            if block.get(name) is None:
                block[name] = {}
            block = block[name]
            if not isinstance(block, dict):
                raise UserError(f"{path}: {key} cannot be set: {name} is no block of keys there")
        block[field] = value
    _leave_out_former_keys(raw, path)
    return checked(Params, raw, path)


def _leave_out_former_keys(raw: dict[str, Any], path: Path) -> None:
    """Take the keys that only older versions read out of `raw`, and say so: an old file still runs."""
    for key, reason in FORMER.items():
        name, field = key.split(".")
        if isinstance(raw.get(name), dict) and field in raw[name]:
            del raw[name][field]
            print(f"warning: {path}: {key} is no longer read ({reason}): delete the key", file=sys.stderr)


def checked(model: type[Block], raw: Any, path: Path) -> Block:
    """`raw`, read from `path`, as a model. Raises UserError with a sentence for each unknown key or wrong value."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = [sentence(e, model) for e in error.errors(include_url=False)]
        more = [f"and {len(problems) - SAID} more"] if len(problems) > SAID else []
        raise UserError(f"{path}: {'; '.join(problems[:SAID] + more)}") from None


def fingerprint(*parts: BaseModel | str | int) -> str:
    """sha256 over params blocks and strings; equal parts give an equal fingerprint."""
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
