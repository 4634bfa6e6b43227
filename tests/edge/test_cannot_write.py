"""A disk or folder that takes no more ends the run: one sentence, exit code 6, what is written is whole."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from PIL import Image

from pipeline.edge.failure import FAILURES
from pipeline.edge.log import LOG

ROOT = Path(__file__).resolve().parents[2]
FULL = [
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENOENT,
]
SAVE = "overlay,index,confidence,json,polygons,coco"
ENDINGS = ["_overlay.jpg", "_index.png", "_confidence.png", "_polygons.geojson", "_rle.json", ".json"]

Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def street(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        Image.new("RGB", (60, 40), (250, 0, 0)).save(folder / f"{name}.png")
    return folder


def check_it_ended(out: Path, code: int, errors: str, name: str, number: int) -> None:
    assert code == 6
    told = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert told[0].startswith(f"error: Cannot write {out}")
    assert told[0].endswith(f"{name} ({os.strerror(number)}): check space and permissions.")
    assert "Traceback" not in errors
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize("number", FULL)
def test_whichever_file_it_is_the_run_ends_and_the_next_completes_it(
    tmp_path: Path, street: Path, run: Run, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    ending = ENDINGS[FULL.index(number) % len(ENDINGS)]
    honest = Path.write_bytes

    def write_bytes(self: Path, content: bytes) -> int:
        if f"b{ending}" in self.name:
            honest(self, content[: len(content) // 2])
            raise OSError(number, os.strerror(number))
        return honest(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_bytes)
        code, records, errors = run(street, "--save", SAVE)
    check_it_ended(tmp_path / "out", code, errors, f"b{ending}", number)
    assert [Path(record["input"]).name for record in records] == ["a.png"]
    assert not (tmp_path / "out" / f"b{ending}").exists()
    code, records, errors = run(street, "--save", SAVE)
    assert (code, len(records)) == (0, 2)
    assert "1 already done" in errors


@pytest.mark.parametrize("name", [FAILURES, "coco.json"])
def test_the_lists_of_a_whole_run(
    tmp_path: Path, street: Path, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (street / "bad.png").write_bytes(b"x")
    honest = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return honest(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    code, records, errors = run(street, "--save", SAVE)
    check_it_ended(tmp_path / "out", code, errors, name, errno.ENOSPC)
    assert len(records) == 4


@pytest.mark.parametrize("what", ["folder", "log"])
def test_a_folder_that_takes_nothing_is_known_before_any_work(
    tmp_path: Path, street: Path, run: Run, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    honest_mkdir, honest_open = Path.mkdir, Path.open

    def mkdir(self: Path, *arguments: Any, **options: Any) -> None:
        if what == "folder" and self.name == "out":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        honest_mkdir(self, *arguments, **options)

    def opened(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == LOG and arguments == ("ab",):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return honest_open(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "open", opened)
    code, records, errors = run(street)
    check_it_ended(tmp_path / "out", code, errors, LOG, errno.EACCES)
    assert not records


PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from pipeline.edge.__main__ import main
sys.exit(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no limits of the size of files")
@pytest.mark.parametrize("limit", [0, 100, 500])
@pytest.mark.parametrize("kind", ["pictures", "a video", "a video's frames"])
def test_files_that_may_not_grow(
    tmp_path: Path, street: Path, tiny_model: Path, kind: str, limit: int
) -> None:
    """As the system says it, to FFmpeg too; of the pictures the log alone comes first."""
    out, save = tmp_path / "out", SAVE
    if kind != "pictures":
        street = write_clip(tmp_path / "clip.mp4", range(0, 4000, 40), size=(320, 240))
        save = "overlay" if kind == "a video" else "index,json"
    command = [sys.executable, "-c", PROGRAM, str(limit), "predict", str(street), "--model", str(tiny_model)]
    command += ["--out", str(out), "--save", save]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 6, done.stderr
    (told,) = done.stderr.splitlines()
    assert told.startswith("error: Cannot write ")
    assert told.endswith(": check space and permissions.")
    assert not list(out.rglob("*.part"))
    command[3] = "-1"
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr


def test_a_file_where_a_folder_is_to_be(tmp_path: Path, street: Path, run: Run) -> None:
    (tmp_path / "out").symlink_to(street / "a.png" / "below")
    code, records, errors = run(street)
    assert (code, records) == (2, [])
    assert errors.startswith(f"error: Cannot write {tmp_path}/out/{LOG} (")
    assert errors.endswith("rename the input, or what is in the way.\n")


@pytest.mark.skipif(os.name == "nt", reason="a shell closes the streams")
@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams(tmp_path: Path, street: Path, tiny_model: Path, closed: str) -> None:
    """Nothing that belongs on a closed one goes to another, nor into a file that would get its number."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline.edge", "predict", str(street), "--model", str(tiny_model)]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command, "--out", str(out), "--save", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == (6 if ">&-" in closed.replace("2>&-", "") else 0)
    assert "Traceback" not in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == (3 if done.returncode == 0 else 0)
    for entry in (out / LOG).read_text().splitlines():
        assert json.loads(entry)["outputs"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_standard_output(tmp_path: Path, street: Path, tiny_model: Path) -> None:
    for arguments in (
        ["info", str(tiny_model)],
        ["predict", str(street), "--model", str(tiny_model), "--out"],
    ):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pipeline.edge",
                    *arguments,
                    *[str(tmp_path / "out")] * (len(arguments) > 2),
                ],
                cwd=ROOT,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=120,
                check=False,
            )
        assert done.returncode == 6, done.stderr
        (told,) = done.stderr.splitlines()
        assert told == "error: Cannot write to standard output (No space left on device): check its space."
