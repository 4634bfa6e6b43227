"""Runs of mic-edge predict on streams, for their tests: what they print and save holds no password."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.edge.cli import main

ROOT = Path(__file__).resolve().parents[2]
SECRET = "geheim7"
Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


def predict(
    folder: Path, model: Path, capfd: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, list[dict[str, Any]], str]:
    """predict into folder/out: exit code, the JSON lines of stdout, stderr."""
    options = ["--model", model, "--out", folder / "out", "--threads", 1]
    code = main(["predict", *(str(a) for a in (*arguments, *options))])
    captured = capfd.readouterr()  # what FFmpeg prints itself included
    for path in (folder / "out").rglob("*"):
        assert SECRET not in path.name
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()
    assert SECRET not in captured.out + captured.err
    return code, [json.loads(line) for line in captured.out.splitlines()], captured.err


def started(tmp_path: Path, model: Path, *arguments: str) -> subprocess.Popen[str]:
    """predict into tmp_path/out as a process of its own."""
    command = [sys.executable, "-m", "pipeline.edge.cli", "predict", *arguments, "--model", str(model)]
    return subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
    )


def with_password(address: str) -> str:
    return address.replace("://", f"://admin:{SECRET}@") + f"?token={SECRET}"


def lines_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(record["outputs"]["json"]).read_text().splitlines()]


def segments_of(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if "segment" in line]
