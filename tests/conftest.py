"""Fixtures of the whole suite."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "any machine", deadline=None
)  # the default fails where a test takes 0.2 s
hypothesis.settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parent.parent

# Whoever starts the tests with nohup or in the background leaves signals ignored, and so do all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference vectors and real data, or a skip where this checkout has none."""
    folder = (ROOT / os.environ.get("MIC_ADAPT_SHARED", "../shared")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}: set MIC_ADAPT_SHARED")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; set MIC_ADAPT_CHROMIUM where it is not on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("MIC_ADAPT_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.skip("no Chromium on the PATH nor in MIC_ADAPT_CHROMIUM")
    return found
