"""A page in its own process, for tests that talk to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Running:
    """A page in its own process."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    temp: Path
    """The folder that its own temporary folder lies in."""

    def memory(self, what: str = "VmRSS") -> int:
        """Bytes of the process's memory now, or of its peak ("VmHWM"), where the system tells."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.is_file():
            pytest.skip("only Linux tells a process's memory")
        line = next(line for line in status.read_text().splitlines() if line.startswith(what))
        return int(line.split()[1]) * 1024

    def folders(self) -> list[Path]:
        """Temporary folders of pages."""
        return sorted(self.temp.glob("mic_adapt_page_*"))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running(
    models: Path, folder: Path, *options: str, variables: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """`python -m app` over these models, answering; ended afterwards, without a traceback in its log."""
    port = free_port()
    log, temp = folder / "page.log", folder / "temp"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GRADIO_TEMP_DIR": str(temp), **(variables or {})}
    command = [sys.executable, "-m", "app", "--models", str(models), "--port", str(port), *options]
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + 300  # gradio takes seconds to import, on a busy machine a minute
        while time.monotonic() < deadline:
            if server.poll() is not None:
                pytest.fail(f"the page ended: {log.read_text()}")
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(f"the page did not start: {log.read_text()}")
        yield Running(url, server, log, temp)
        assert "Traceback" not in log.read_text()
    finally:
        server.terminate()
        server.wait(30)
