"""Ctrl-C while a command's libraries are imported: no traceback; after that, KeyboardInterrupt as anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# sitecustomize.py: Ctrl-C as soon as so many modules were looked for after the package.
SIGNALLED = """
import os, signal, sys

class Finder:
    begun, left = False, int(os.environ["LEFT"])

    def find_spec(self, name, *_):
        Finder.begun = Finder.begun or name in ("pipeline.run.stage", "pipeline.edge", "pydantic", "torch", "numpy")
        if Finder.begun:
            Finder.left -= 1
            if Finder.left == 0:
                os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
"""


@pytest.mark.parametrize("left", [1, 40, 200])
@pytest.mark.parametrize(
    "command",
    [
        ("pipeline.train", "--method", "mic"),
        ("pipeline.prepare",),
        ("pipeline.export", "--method", "mic"),
        ("app",),
    ],
)
def test_no_traceback(command: tuple[str, ...], left: int, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SIGNALLED)
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "LEFT": str(left)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_program_that_imports_the_package_keeps_its_ways() -> None:
    program = "import signal, pipeline; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    subprocess.run([sys.executable, "-c", f"{start}; {program}"], cwd=ROOT, check=True)


def test_a_stage_at_work_says_so(tmp_path: Path) -> None:
    program = "import os, signal; from pipeline.run.stage import main_guard; " + (
        "signal.signal(signal.SIGINT, signal.SIG_DFL); main_guard(lambda: os.kill(os.getpid(), signal.SIGINT))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "error: interrupted; what was written before stays\n")
