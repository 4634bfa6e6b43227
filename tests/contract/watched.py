"""Runs a command with an empty HOME and tells what it made and whom it called, by a stand-in and by strace."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# sitecustomize.py of the processes watched: a name to look up or an address off this machine is noted and refused.
STAND_IN = """
import ipaddress, os, socket

def refuse(what):
    with open(os.environ["WATCHED_LOG"], "a") as log:
        log.write(f"{what}\\n")
    raise OSError(f"refused by the test: {what}")

def guarded(name):
    honest = getattr(socket.socket, name)
    def call(self, *arguments):
        address = arguments[-1]
        if self.family in (socket.AF_INET, socket.AF_INET6):
            if not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
                refuse(f"{name} {address}")
        return honest(self, *arguments)
    return call

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, guarded(name))

resolve = socket.getaddrinfo
def getaddrinfo(host, *arguments, **options):
    if host not in (None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0", b"localhost", b"127.0.0.1"):
        refuse(f"look-up of {host}")
    return resolve(host, *arguments, **options)
socket.getaddrinfo = getaddrinfo
"""

_CALLS = (
    "connect,sendto,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
)
_MAKES = re.compile(
    r"^\d+ +(?:(?:open|openat)\((?=.*O_(?:WRONLY|RDWR|CREAT))|creat\(|mkdir|rename|link|symlink).*= \d+"
)
_ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')


@dataclass
class Watched:
    """An empty HOME below `root`, an empty TMPDIR, and the environment of a person who has set nothing."""

    root: Path
    temporary: Path
    """Of a short path, as the sockets of loader processes need it."""

    def __post_init__(self) -> None:
        for folder in (self.home, self.root / "stand_in"):
            folder.mkdir(parents=True)
        (self.root / "stand_in" / "sitecustomize.py").write_text(STAND_IN)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def environment(self) -> dict[str, str]:
        """Neither CI, which silences some libraries, nor a proxy, nor any of their switches."""
        kept = {k: v for k, v in os.environ.items() if k in ("LANG", "LD_LIBRARY_PATH", "MIC_ADAPT_SHARED")}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(self.root / "stand_in"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "WATCHED_LOG": str(self.root / "refused.txt"),
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line, traced where that can be; the process started is the command itself."""
        trace = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={_CALLS}", "-e", "signal=none"]
        traced = [*trace, "-s", "4096", "-o", str(self._trace)] if can_trace() else []
        return [*traced, *map(str, arguments)]

    def run(self, cwd: Path, *arguments: str | Path) -> str:
        """The command's stdout and stderr; it must succeed."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def called(self) -> list[str]:
        """Every look-up, and every address called that is not this machine's."""
        log = self.root / "refused.txt"
        refused = log.read_text().splitlines() if log.exists() else []
        return [*refused, *self._called_natively()]

    def made(self, *allowed: Path) -> set[str]:
        """What was left in HOME or TMPDIR, or made, as strace saw it, outside TMPDIR and `allowed`."""
        left = {str(path) for folder in (self.home, self.temporary) for path in folder.rglob("*")}
        inside = [
            str(p) for p in (*(p.resolve() for p in allowed), self.temporary, self.root / "refused.txt")
        ]
        return left | {
            path
            for path in self._made_natively()
            if not path.startswith(("/dev/", "/proc/")) and not any(path.startswith(p) for p in inside)
        }

    @property
    def _trace(self) -> Path:
        return self.root / "trace.txt"

    def _lines(self) -> list[str]:
        return self._trace.read_text(errors="replace").splitlines() if self._trace.exists() else []

    def _called_natively(self) -> Iterator[str]:
        for line in self._lines():
            if not re.match(r"\d+ +(?:connect|sendto)\(", line):
                continue
            found = _ADDRESS.search(line)
            if found and (found[1] == "53" or not found[2].startswith(("127.", "::1"))):
                yield f"{found[2]} port {found[1]}"
            elif "systemd/resolve" in line:
                yield "look-up by systemd"

    def _made_natively(self) -> Iterator[str]:
        """Absolute paths alone: the others are in the folder that the command was started in."""
        for line in self._lines():
            if _MAKES.match(line):
                yield from re.findall(r'"(/[^"]*)"', line)[-1:]


@functools.cache
def can_trace() -> bool:
    """Whether there is strace, and it may look into other processes (a container may forbid it)."""
    strace = shutil.which("strace")
    return (
        bool(strace)
        and not subprocess.run(
            [strace, "-D", "-f", "--seccomp-bpf", "-o", os.devnull, sys.executable, "-c", ""],
            capture_output=True,
            check=False,
        ).returncode
    )
