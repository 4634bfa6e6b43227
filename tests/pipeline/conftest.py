"""Project folders with tiny data sets, for tests that run the real stages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from projects import OUTPUTS, SHEETS, Project
from tiny import write_project

from pipeline import prepare
from pipeline.run.stage import main_guard


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: params.yaml and data/tiny with source and target pictures."""
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    return tmp_path


@pytest.fixture
def folders_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The current folder: params.yaml, a labelled source in day/ and an unlabelled target in night/."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def refusal(folders_project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Runs the stage as the command does: exit code 2, nothing left; gives stderr."""

    def run() -> str:
        for output in (*OUTPUTS, *SHEETS):  # from an earlier, good run
            (folders_project.root / output).parent.mkdir(parents=True, exist_ok=True)
            (folders_project.root / output).write_text("{}")
        folders_project.write()
        with pytest.raises(SystemExit) as stopped:
            main_guard(lambda: prepare.main([]))
        assert stopped.value.code == 2
        assert folders_project.leftovers() == []
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return printed.err

    return run
