"""Signals at any moment, from the first import on: one sentence, exit code 130, nothing half-written, no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from pipeline.edge.interruption import EXIT_CODE, SENTENCE

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
# Runs mic-edge and sends itself a signal when, from its entry on, so many modules were looked for.
SIGNALLED = """
import os, sys
from pipeline.edge.__main__ import main

class Finder:
    left = int(sys.argv.pop(1))
    number = int(sys.argv.pop(1))

    def find_spec(self, *_):
        Finder.left -= 1
        if Finder.left == 0:
            os.kill(os.getpid(), Finder.number)

sys.meta_path.insert(0, Finder())
code = main()
sys.exit(code if Finder.number else f"looked for {-Finder.left}")
"""


@pytest.fixture
def arguments(tmp_path: Path, tiny_model: Path) -> list[str]:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(40):
        Image.new("RGB", (90, 60), (250, i, 0)).save(folder / f"{i:02}.png")
    return ["predict", str(folder), "--model", str(tiny_model), "--out", str(tmp_path / "out"), "--overwrite"]


def heed_interrupts() -> None:
    """A shell's background job ignores Ctrl-C, and so would what these tests start from one."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def signalled(arguments: list[str], at: int, number: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(at), str(number), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=heed_interrupts,
    )


def test_a_signal_while_modules_are_imported_is_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    """onnxruntime's import, for one, would make an error of its own of a KeyboardInterrupt."""
    whole = signalled(arguments, 0, 0)
    imports = int(whole.stderr.split()[-1])
    assert imports > 100
    before_any_sentence = 0
    steps = [*range(1, 10), *range(10, imports - imports // 12, imports // 12)]
    for i, at in enumerate(steps):
        number = SIGNALS[i % 3]
        done = signalled(arguments, at, number)
        if done.returncode == -number:  # before there is anything to say
            before_any_sentence += 1
            assert done.stderr == ""
            assert at < 60
        else:
            assert (done.returncode, done.stderr) == (EXIT_CODE, f"{SENTENCE}\n"), at
    assert before_any_sentence < len(steps)
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_any_time_is_never_a_traceback(
    arguments: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "pipeline.edge", *arguments]
    for delay in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9, 1.3, 2.0):
        with subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,  # noqa: PLW1509  no threads here
        ) as process:
            time.sleep(delay)
            process.send_signal(number)
            _, errors = process.communicate(timeout=120)
        if process.returncode == -number or ("Traceback" in errors and "pipeline" not in errors):
            assert "pipeline" not in errors, "Python was not up yet"
            continue
        assert process.returncode in (EXIT_CODE, 0), (delay, errors)
        assert "Traceback" not in errors
        assert process.returncode == 0 or errors == f"{SENTENCE}\n"
    assert not list((tmp_path / "out").rglob("*.part"))
