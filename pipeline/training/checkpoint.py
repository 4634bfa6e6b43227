"""Checkpoints: atomic, and tied by a fingerprint to the params, data and code that made them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import pipeline
from pipeline.edge.errors import UserError
from pipeline.run.files import replacing

LAST = "last.pt"
TRAINING_CODE = ("data", "data/formats", "networks", "adaptation", "tasks/segmentation", "training")
TRAINING_CODE += ("train.py", "run/randomness.py", "edge/images.py", "edge/depth.py", "edge/unread.py")


def code_version() -> str:
    """sha256 over the sources that training runs through."""
    package = Path(pipeline.__file__).parent
    digest = hashlib.sha256()
    for part in TRAINING_CODE:
        for file in sorted([package / part] if part.endswith(".py") else (package / part).glob("*.py")):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def files_version(paths: Sequence[Path]) -> str:
    """sha256 over the contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write last.pt beside and rename it: after a crash the older or the newer one is there, whole."""
    try:
        with replacing(folder / LAST) as beside, beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        if isinstance(error.__context__, OSError):  # of a full disk torch says "unexpected pos"
            raise error.__context__ from None
        raise


def load_checkpoint(folder: Path, fingerprint: str) -> tuple[dict[str, Any] | None, str]:
    """The checkpoint to continue from, or None with the reason to start afresh.

    Raises:
        UserError: the checkpoint is there but cannot be read.
    """
    path = folder / LAST
    if not path.exists():
        return None, "no checkpoint yet"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found, step = state["fingerprint"], state["step"]
    except Exception as error:  # torch answers broken bytes with KeyError, RuntimeError, UnpicklingError ...
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}): delete it to start afresh"
        ) from None
    if found != fingerprint:
        return None, f"{path} belongs to other params, data or code"
    return state, f"continuing at step {step}"
