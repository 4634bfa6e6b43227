"""Reading golden vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Golden = Callable[[str], dict[str, np.ndarray]]


@pytest.fixture
def golden(shared: Path) -> Golden:
    """Name of a file -> its arrays."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(shared / "golden" / f"{name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load
