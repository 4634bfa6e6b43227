"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference vectors and real data, or a skip where this checkout has none."""
    folder = (ROOT / os.environ.get("MIC_ADAPT_SHARED", "../shared")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}: set MIC_ADAPT_SHARED")
    return folder
