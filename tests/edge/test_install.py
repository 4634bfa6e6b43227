"""How soon mic-edge answers, without building an environment; `pytest -n 0 -s` on this file prints the times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.bench import install
from pipeline.edge.errors import UserError

PYTHON = Path(sys.executable)


def test_help_imports_nothing_heavy() -> None:
    assert install.heavy_imports(PYTHON) == []


def test_a_heavy_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys, numpy.linalg; sys.exit(0)"
    honest = subprocess.run

    def run(command: list[Any], **options: Any) -> Any:
        return honest([*command[: command.index("-m")], "-c", program], **options)

    monkeypatch.setattr(subprocess, "run", run)
    assert install.heavy_imports(PYTHON) == ["numpy"]


def test_times_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(install, "RUNS", 2)
    timings = install.time_command(PYTHON)
    assert set(timings) == {*(f"import {what}" for what in install.IMPORTS), install.HELP}
    for timing in timings.values():
        assert 0 < timing.best <= timing.median
    with capsys.disabled():
        print(f"\nmic-edge: {timings}")


def test_packages_come_largest_first() -> None:
    sizes = install.package_megabytes(PYTHON)
    assert {"numpy", "pillow", "mic-adapt"} <= set(sizes)
    assert "pip" not in sizes
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    assert sizes["numpy"] > 5


@pytest.mark.parametrize("heavy", [[], ["torch"]])
def test_all_is_written_and_a_heavy_import_exits_with_1(
    heavy: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = install.Timing(0.2, 0.4)
    monkeypatch.setattr(install, "base_environment", lambda _: PYTHON)
    monkeypatch.setattr(install, "package_megabytes", lambda _: {"numpy": 50.0, "mic-adapt": 1.5})
    monkeypatch.setattr(install, "time_command", lambda _: {install.HELP: slow})
    monkeypatch.setattr(install, "heavy_imports", lambda _: heavy)
    monkeypatch.chdir(tmp_path)
    assert install.main([]) == len(heavy)
    written = json.loads((tmp_path / "metrics" / "install.json").read_text())
    assert written["megabytes"] == {"total": 51.5, "packages": {"numpy": 50.0, "mic-adapt": 1.5}}
    assert written["seconds"] == {install.HELP: {"best": 0.2, "median": 0.4}}
    assert written["help_holds"] is False
    shown = capsys.readouterr().out
    assert "mic-edge --help within 0.3 s: NO" in shown
    assert f"heavy imports of --help: {'torch' if heavy else 'none'}" in shown


def test_an_install_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "a long story\nno such index\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match=r"does not install \(no such index\): check that packages"):
        install.base_environment(tmp_path / "venv")
