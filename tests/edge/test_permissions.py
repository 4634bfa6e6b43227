"""Files and folders that are closed to the user: each fails alone and is said; a closed --out is exit code 6."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from PIL import Image

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")

ROOT = Path(__file__).resolve().parents[2]
NO_OTHER_USER = 77
# Root is let in everywhere, so it becomes nobody, once in the folder and with all imported that a run imports.
PROGRAM = f"""
import contextlib, io, os, sys
from pipeline.edge import cli
os.chdir(sys.argv.pop(1))
if os.getuid() == 0:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert cli.main("predict warm --model warm/model.onnx --out warm/out".split()) == 5
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    except OSError:
        sys.exit({NO_OTHER_USER})
sys.exit(cli.main())
"""


@pytest.fixture
def here(tmp_path: Path, tiny_model: Path) -> Path:
    """A folder that all may read, with pictures in `in` and an `out` that all may write."""
    shutil.copy(tiny_model, tmp_path / "model.onnx")
    for name in ("a", "b/c", "z"):
        path = tmp_path / "in" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), (250, 0, 0)).save(path)
    (tmp_path / "out").mkdir()
    (tmp_path / "warm").mkdir()
    shutil.copy(tiny_model, tmp_path / "warm/model.onnx")
    shutil.copy(tmp_path / "in/a.png", tmp_path / "warm")
    (tmp_path / "warm/bad.png").write_bytes(b"x")
    write_clip(tmp_path / "warm/clip.mp4", range(0, 120, 40))
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    (tmp_path / "out").chmod(0o777)
    return tmp_path


def run(here: Path, *inputs: str, out: str = "out", stdin: str = "") -> tuple[int, dict[str, str], str]:
    """Exit code, the errors by input ("" where it is good), and stderr."""
    command = [sys.executable, "-c", PROGRAM, str(here), "predict", *inputs, "--model", "model.onnx"]
    done = subprocess.run(
        [*command, "--out", out],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == NO_OTHER_USER:
        pytest.skip("root may not become another user here")
    assert "Traceback" not in done.stderr
    records: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {record["input"]: record.get("error", "") for record in records}, done.stderr


def test_closed_files_and_folders_fail_alone(here: Path) -> None:
    write_clip(here / "in/closed.mp4", range(0, 120, 40))
    for name in ("closed.png", "b/closed.png"):
        shutil.copy(here / "in/a.png", here / "in" / name)
    for name in ("dark", "b/dark", "listed"):
        (here / "in" / name).mkdir()
        shutil.copy(here / "in/a.png", here / "in" / name / "d.png")
    (here / "in/way").symlink_to("dark/d.png")
    for path in ("closed.mp4", "closed.png", "b/closed.png", "dark", "b/dark"):
        (here / "in" / path).chmod(0)
    (here / "in/listed").chmod(0o444)  # its names are told, its files are not
    code, told, errors = run(here, "in", "in/dark/d.png", "-", stdin="in/b/dark/d.png\nin/z.png\n")
    assert code == 5
    assert [name for name, error in told.items() if not error] == ["in/a.png", "in/b/c.png", "in/z.png"]
    closed = {name: error for name, error in told.items() if error}
    expected = {"closed.mp4", "closed.png", "b/closed.png", "dark", "b/dark", "listed/d.png", "dark/d.png"}
    assert set(closed) == {f"in/{name}" for name in expected} | {"in/b/dark/d.png"}
    for name, error in closed.items():
        assert name in error
        assert "Permission denied" in error
        assert error.endswith("permissions.")
    assert "note: in/way is a link that cannot be followed" in errors
    assert len((here / "out/failures.txt").read_text().splitlines()) == len(closed)


def test_a_folder_that_is_closed_altogether_is_a_sentence(here: Path) -> None:
    (here / "in").chmod(0)
    for item in ("in", "in/*.png", "in/**/*.png"):
        code, told, errors = run(here, item)
        assert (code, told) == (2, {})
        assert (
            errors == "error: The folder in cannot be searched (Permission denied): check its permissions.\n"
        )
    code, told, errors = run(here, "in/a.png")
    assert (code, told) == (2, {})
    assert (
        errors
        == "error: in/a.png cannot be opened (Permission denied): check the path and its permissions.\n"
    )


@pytest.mark.parametrize("out", ["out", "in/out", "out/below/it"])
def test_an_out_that_is_closed_ends_the_run(here: Path, out: str) -> None:
    (here / "in").chmod(0o555)
    (here / "out").chmod(0o555)
    code, told, errors = run(here, "in", out=out)
    assert (code, told) == (6, {})
    assert errors == (
        f"error: Cannot write {out}/.mic-edge.jsonl (Permission denied): check space and permissions.\n"
    )


def test_a_closed_file_in_the_way(here: Path) -> None:
    """What another user wrote into a folder of all is replaced or said, and never half."""
    (here / "out/b").mkdir()
    (here / "out/b").chmod(0o555)
    code, told, errors = run(here, "in")
    assert code == 6
    assert "in/b/c.png" not in told
    assert errors.startswith("error: Cannot write out/b/c_overlay.jpg (Permission denied)")


def test_a_model_that_is_closed_is_a_sentence(here: Path) -> None:
    (here / "model.onnx").chmod(0)
    code, told, errors = run(here, "in")
    assert (code, told) == (3, {})
    assert "Permission denied" in errors
    assert len(errors.splitlines()) == 1


def test_a_log_that_is_closed_is_a_sentence(here: Path) -> None:
    (here / "out/.mic-edge.jsonl").touch()
    (here / "out/.mic-edge.jsonl").chmod(0)
    code, told, errors = run(here, "in")
    assert (code, told) == (6, {})
    assert "out/.mic-edge.jsonl cannot be read (Permission denied)" in errors
