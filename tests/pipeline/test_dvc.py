"""`dvc repro` as a person types it: without activation, without git, whatever PATH holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline.run.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


def test_dvc_without_activation_and_without_git(project: Path) -> None:
    shutil.copytree(ROOT / "pipeline", project / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "dvc.yaml", project / "dvc.yaml")
    (project / ".dvc").mkdir()
    shutil.copyfile(ROOT / ".dvc" / "config", project / ".dvc" / "config")
    params = project / "params.yaml"
    methods = {"methods": ["source_only"], "students": [], "distil": None}
    params.write_text(yaml.safe_dump(yaml.safe_load(params.read_text()) | methods))
    # A venv is known by its python; every other program of it must not be found.
    (project / ".venv").symlink_to(sys.prefix)
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    environment["PATH"] = os.defpath

    def dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(project / ".venv" / "bin" / "python"), "-m", "dvc", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert dvc("config", "--local", "core.no_scm", "true").returncode == 0
    ended = dvc("repro", "prepare")
    assert ended.returncode == 0, ended.stderr
    assert Workspace().index("source").exists()
