"""`python -m pipeline.bench.install`: what the base install of mic-edge takes on disk, and how soon it answers.

Builds a fresh environment in a temporary folder and installs the project's base into it with uv, or pip where there is
none, from wherever these are set up to take packages. Writes metrics/install.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from pipeline.bench.clip import PROJECT
from pipeline.edge.errors import UserError
from pipeline.run.files import write_json
from pipeline.run.machine import machine
from pipeline.run.stage import main_guard
from pipeline.run.workspace import Workspace

RUNS, SHOWN = 10, 5
HELP, HELP_BUDGET_S = "mic-edge --help", 0.3
IMPORTS = ("pipeline.edge.cli", "pipeline.edge.predict, onnxruntime")
HEAVY = frozenset({"torch", "onnx", "onnxruntime", "openvino", "numpy", "PIL", "av"})
_SIZES = """
import json
from importlib.metadata import distributions
sizes = {}
for d in distributions():
    files = [d.locate_file(file) for file in d.files or ()]
    sizes[d.name] = sum(f.stat().st_size for f in files if f.is_file() and f.suffix != ".pyc")
print(json.dumps(sizes))
"""


@dataclass(frozen=True)
class Timing:
    """Seconds, best and median of RUNS processes."""

    best: float
    median: float


def main(argv: Sequence[str] | None = None) -> int:
    """Print size and times, write them; 1 where --help imports something heavy."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        python = base_environment(Path(folder) / "venv")
        sizes = package_megabytes(python)
        timings = time_command(python)
        heavy = heavy_imports(python)
    report = {
        "megabytes": {"total": round(sum(sizes.values()), 1), "packages": sizes},
        "seconds": {name: asdict(timing) for name, timing in timings.items()},
        "help_holds": timings[HELP].median <= HELP_BUDGET_S,
        "heavy_imports_of_help": heavy,
        "machine": machine("cpu"),
        "date": date.today().isoformat(),
    }
    write_json(Workspace().install, report)
    console = Console()
    console.print(size_table(sizes))
    console.print(time_table(timings))
    holds = "yes" if report["help_holds"] else "NO"
    console.print(f"{HELP} within {HELP_BUDGET_S:g} s: {holds}", highlight=False)
    console.print(f"heavy imports of --help: {', '.join(heavy) or 'none'} (of {', '.join(sorted(HEAVY))})")
    return int(bool(heavy))


def base_environment(folder: Path) -> Path:
    """A new environment with the project's base alone; gives its Python. Raises UserError."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    python = folder / "bin" / "python"
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, folder],
            [uv, "pip", "install", "--quiet", "--python", python, PROJECT],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", folder],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PROJECT],
        ]
    for step in steps:
        done = subprocess.run([str(part) for part in step], capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UserError(f"The base does not install ({said}): check that packages can be fetched.")
    return python


def package_megabytes(python: Path) -> dict[str, float]:
    """Megabytes (10^6 bytes) of every package of an environment, largest first, without pip and bytecode."""
    sizes: dict[str, int] = json.loads(_answer(python, _SIZES))
    sizes.pop("pip", None)
    return {name: round(size / 1e6, 2) for name, size in sorted(sizes.items(), key=lambda item: -item[1])}


def time_command(python: Path) -> dict[str, Timing]:
    """Of the command's import, of all that `predict` imports, and of `mic-edge --help` as a process."""
    command = [str(python.with_name("mic-edge")), "--help"]
    return {
        **{f"import {what}": _timed(lambda what=what: import_seconds(python, what)) for what in IMPORTS},
        HELP: _timed(lambda: _seconds(command)),
    }


def heavy_imports(python: Path) -> list[str]:
    """Which packages of HEAVY `mic-edge --help` imports."""
    command = [python, "-X", "importtime", "-m", "pipeline.edge.cli", "--help"]
    done = subprocess.run(command, cwd=python.parent, capture_output=True, text=True, check=True)
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    return sorted(imported & HEAVY)


def import_seconds(python: Path, modules: str) -> float:
    """Of `import <modules>` in a new process, without the start of Python."""
    program = (
        f"import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
    )
    return float(_answer(python, program))


def size_table(sizes: dict[str, float]) -> Table:
    """The largest packages and the sum of all."""
    shown = Table("package", "MB", title="base install of mic-edge")
    for name, size in [*list(sizes.items())[:SHOWN], ("all", sum(sizes.values()))]:
        shown.add_row(name, f"{size:.1f}")
    return shown


def time_table(timings: dict[str, Timing]) -> Table:
    """A row for each command."""
    shown = Table("what", "best s", "median s", title=f"of {RUNS} processes each")
    for name, timing in timings.items():
        shown.add_row(name, f"{timing.best:.3f}", f"{timing.median:.3f}")
    return shown


def _timed(once: Callable[[], float]) -> Timing:
    seconds = [once() for _ in range(RUNS)]
    return Timing(round(min(seconds), 4), round(median(seconds), 4))


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _answer(python: Path, program: str) -> str:
    # From the environment's own folder, so that the installed package is imported and not the checkout.
    command = [python, "-c", program]
    return subprocess.run(command, cwd=python.parent, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main_guard(main)
