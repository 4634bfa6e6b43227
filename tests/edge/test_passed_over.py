"""What a search would pass over in silence, take twice or take for input though it is a result: all of it is said."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.edge import folders
from pipeline.edge.cli import main
from pipeline.edge.errors import UserError
from pipeline.edge.log import LOG
from pipeline.edge.names import Names
from pipeline.edge.results import beside, part
from pipeline.edge.sources import Plan, plan

Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder with shots/a.png and shots/b/c.png in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b/c.png"):
        draw(tmp_path / "shots" / name)
    return tmp_path


@pytest.fixture
def run(here: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, out: str = "out") -> tuple[int, list[dict[str, Any]], str]:
        code = main(["predict", *arguments, "--model", str(tiny_model), "--out", out])
        captured = capsys.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return run


def draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (0, 250, 0)).save(path)
    return path


def planned(*inputs: str, out: str = "out", stdin: bytes = b"", null: bool = False) -> Plan:
    return plan(list(inputs), Path(out), io.BytesIO(stdin), null)


def names(found: Plan) -> list[str]:
    return [str(source.path) for source in found.sources]


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a folder unreadable, for root as well."""
    honest, closed = os.scandir, set[str]()

    def scandir(path: Any) -> Any:
        if os.path.realpath(path) in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return honest(path)

    monkeypatch.setattr(folders.os, "scandir", scandir)
    return lambda path: closed.add(os.path.realpath(path))


def test_a_folder_that_cannot_be_read_is_a_failed_input(here: Path, run: Run, locked: Any) -> None:
    locked(here / "shots" / "b")
    told = "The folder shots/b cannot be searched (Permission denied): check its permissions."
    for item in ("shots", "shots/**/*.png", "shots/*"):
        assert [(str(s.path), s.fault) for s in planned(item).sources if s.fault] == [("shots/b", told)]
    code, records, errors = run("shots")
    assert code == 5
    assert [r["input"] for r in records] == ["shots/a.png", "shots/b"]
    assert "error: The folder shots/b cannot be searched" in errors
    assert (here / "out/failures.txt").read_text().startswith("shots/b\t")
    with pytest.raises(UserError, match="cannot be searched"):
        planned("shots/*/*.png")


def test_each_file_comes_once_however_folders_are_linked(here: Path) -> None:
    (here / "shots/b/loop").symlink_to(here / "shots")
    (here / "shots/0").symlink_to(here / "shots/b")  # sorted before the real one
    (here / "shots/self").symlink_to(here / "shots/self")
    (here / "elsewhere").mkdir()
    draw(here / "elsewhere/d.png")
    (here / "elsewhere/back").symlink_to(here / "elsewhere")
    (here / "shots/linked").symlink_to(here / "elsewhere")
    (here / "shots/second.png").symlink_to(here / "shots/a.png")  # another name is another picture
    expected = ["shots/a.png", "shots/b/c.png", "shots/linked/d.png", "shots/second.png"]
    assert names(planned("shots")) == expected
    assert names(planned("shots/**/*.png")) == expected
    assert names(planned("shots", "shots/0", "shots/b/loop/b")) == expected
    assert names(planned("shots/**/**/*.png")) == expected


def test_two_loops_do_not_multiply(here: Path) -> None:
    for i in range(12):
        (here / f"shots/b/loop{i}").symlink_to(here / "shots")
    assert names(planned("shots/**/c.png")) == ["shots/b/c.png"]


def test_results_of_earlier_runs_are_no_inputs(here: Path, run: Run) -> None:
    assert run("shots", out="shots/day 1")[0] == 0
    code, records, errors = run("shots", out="shots/day 2")
    assert (code, len(records)) == (0, 2)
    assert "note: shots/day 1 holds results of an earlier run: the folder is left out." in errors
    code, records, errors = run("shots", out="out")
    assert (code, len(records)) == (0, 2)
    assert errors.count("note: ") == 2
    assert names(planned("shots/**/*.png")) == ["shots/a.png", "shots/b/c.png"]
    assert names(planned("shots/*")) == ["shots/a.png", "shots/b/c.png"]
    assert names(planned("shots/*/*.png")) == ["shots/b/c.png"]
    with pytest.raises(UserError, match="Nothing to do"):
        planned("shots/day 1")
    assert names(planned("shots/day 1/a_overlay.jpg")) == ["shots/day 1/a_overlay.jpg"], "named outright"


def test_results_beside_pictures_are_told_apart_from_them(here: Path, run: Run) -> None:
    assert run("shots/a.png", out="shots")[0] == 0
    found = planned("shots")
    assert names(found) == ["shots/a.png", "shots/b/c.png"]
    assert found.notes == ["shots holds 2 results of an earlier run: they are left out."]


@pytest.mark.parametrize(
    "name", ["a.heic", "A.HEIC", "b.dng", "b.jxl", "b.jpg ", "b.PNG\t", "c.avif", "c.jp2"]
)
def test_no_picture_in_a_folder_is_passed_over(here: Path, name: str) -> None:
    (here / "shots" / name).write_bytes(b"x")
    assert str(Path("shots", name)) in names(planned("shots"))


def test_links_to_nothing_pipes_and_sockets_fail_alone(here: Path, run: Run) -> None:
    import socket

    (here / "shots/gone.png").symlink_to(here / "nowhere.png")
    os.mkfifo(here / "shots/pipe.png")
    os.mkfifo(here / "shots/pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("shots/socket.png")
        code, records, _ = run("shots", "/dev/null", "/dev/zero")
    told = {Path(r["input"]).name: r.get("error", "") for r in records}
    assert code == 5
    assert "is a link to a file that is not there" in told["gone.png"]
    for name in ("pipe.png", "pipe.mp4", "socket.png", "null", "zero"):
        assert "is a pipe, socket or device" in told[name]
    assert not told["a.png"]


def test_an_input_that_names_nothing_fails_alone(here: Path, run: Run) -> None:
    (here / "empty").mkdir()
    code, records, errors = run("shots/a.png", "nowhere.png", "empty", "*.tif", "x" * 300)
    assert code == 5
    assert [r["input"] for r in records] == ["shots/a.png", "nowhere.png", "empty", "*.tif", "x" * 300]
    assert "error: No such file or folder: nowhere.png" in errors
    assert "error: No picture or video in the folder empty" in errors
    assert "error: No picture or video matches the pattern *.tif" in errors
    assert "cannot be opened (File name too long)" in errors


def test_a_file_in_a_closed_folder_fails_alone(here: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    honest = os.stat

    def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if str(path).startswith("closed/"):
            raise PermissionError(13, "Permission denied", path)
        return honest(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "lstat", lambda path, **o: stat(path, follow_symlinks=False, **o))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"closed/b.png\nshots/b/c.png\n")))
    code, records, errors = run("closed/a.png", "shots/a.png", "-")
    assert code == 5
    told = {r["input"]: r.get("error", "") for r in records}
    assert "error" not in told["shots/a.png"] + told["shots/b/c.png"]
    for name in ("closed/a.png", "closed/b.png"):
        assert (
            told[name] == f"{name} cannot be opened (Permission denied): check the path and its permissions."
        )
    assert "Traceback" not in errors


def test_an_empty_input_is_refused(here: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = run("shots", "")
    assert code == 2
    assert 'An input is empty (""): name a file' in errors
    for options in (("--out", "", "--model", "m"), ("--model", "", "--out", "o")):
        with pytest.raises(SystemExit):
            main(["predict", "shots", *options])
        assert "it is empty: name one" in capsys.readouterr().err


def test_lists_separated_by_nul(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "new\nline.png").write_bytes((here / "shots/a.png").read_bytes())
    listed = b"shots/a.png\0new\nline.png\0"
    assert names(planned("-", stdin=listed, null=True)) == ["shots/a.png", "new\nline.png"]
    assert names(planned("-", stdin=b"shots/a.png\0\0shots/b", null=True)) == ["shots/a.png", "shots/b/c.png"]
    for option, code, count in (("-0", 0, 2), ("--null", 0, 0), ("--overwrite", 5, 3)):
        text = listed if option != "--overwrite" else b"shots/a.png\0b.png\0\nshots/b/c.png\nline\0.png\n"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        got, records, errors = run("-", option)
        assert (got, len(records)) == (code, count)
    assert "has a NUL in its name: a list separated by NULs needs -0." in errors
    assert [("error" in r) for r in records] == [True, False, True]
    assert len((here / "out/failures.txt").read_text().splitlines()) == 2


@pytest.mark.parametrize("closed", ["null", "closed", "broken"])
def test_a_stdin_without_a_list_is_a_sentence(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any, /) -> int:
            raise OSError(5, "Input/output error")

    streams = {"null": io.BytesIO(), "broken": io.BufferedReader(Broken())}
    monkeypatch.setattr("sys.stdin", None if closed == "closed" else io.TextIOWrapper(streams[closed]))
    told = {
        "null": "error: Nothing to do: the inputs name no picture or video",
        "closed": "error: Standard input is closed: give - a list of paths",
        "broken": "error: Standard input cannot be read (Input/output error)",
    }
    for options in ((), ("-0",)):
        code, records, errors = run("-", *options)
        assert (code, records) == (2, [])
        assert errors.startswith(told[closed])
    code, records, _ = run("shots/a.png")
    assert (code, len(records)) == (0, 1), "whoever needs no list does not ask"


def test_files_of_other_kinds_and_links_to_nowhere_are_said(here: Path, run: Run) -> None:
    for name in ("notes.txt", "b/more.txt", "b/IMG_1", ".hidden.txt"):
        (here / "shots" / name).touch()
    (here / "shots/disk").symlink_to("/nowhere/at/all")
    (here / "shots/self").symlink_to("self")
    code, records, errors = run("shots")
    assert (code, len(records)) == (0, 2)
    assert "note: shots/disk is a link that cannot be followed: it is left out." in errors
    assert "note: shots/self is a link that cannot be followed: it is left out." in errors
    told = "note: shots: files of other kinds are left out (.txt 2, no suffix 1)."
    assert told in errors
    assert "other kinds" not in run("shots/**/*.png")[2], "the pattern left them out"


def test_a_results_folder_without_a_result_in_its_log_is_known(here: Path, run: Run) -> None:
    (here / "shots/bad.png").write_bytes(b"x")
    assert run("shots/bad.png", out="shots/day 1")[0] == 5
    draw(here / "shots/day 1/camera0_overlay_000.png")  # recordings have no lines in the log
    assert "day 1" not in str(names(planned("shots")))


AWKWARD = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=120)


@settings(max_examples=60, deadline=None)
@given(stems=st.lists(AWKWARD, min_size=1, max_size=5, unique=True))
def test_any_name_gets_results_that_fit_and_differ(stems: list[str]) -> None:
    given_names = Names(Path("out"))
    targets = []
    for stem in stems:
        try:
            os.fsencode(f"{stem}.jpg")
        except UnicodeEncodeError:  # half a surrogate pair: no file system has it
            continue
        targets.append(given_names.target(Path(f"{stem}.jpg"), "picture"))
    assert len({str(target).lower() for target in targets}) == len(targets)
    for target in targets:
        for ending in ("_confidence.png", "_polygons.geojson"):
            assert len(os.fsencode(part(beside(target, ending)).name)) <= 255


@pytest.mark.parametrize(
    "name", ["x" * 240, "ä" * 120, "夜" * 80, "\udcff" * 240, "-" * 200, "a b " * 60, "n\n" * 110]
)
def test_long_and_odd_names_are_written(here: Path, run: Run, name: str) -> None:
    for ending in (".png", "2.png"):
        draw(here / "odd" / f"{name[:-1]}{ending}")
    for _ in range(2):
        code, records, _ = run("odd", "shots/a.png")
    assert (code, records) == (0, []), "the second run finds the same names"
    assert len(list((here / "out").glob("*_overlay.jpg"))) == 3
    assert all(b"\xff" not in os.fsencode(p.name) or "\udcff" in name for p in (here / "out").iterdir())


def test_a_path_too_long_for_the_results_is_flattened(here: Path, run: Run, tmp_path: Path) -> None:
    deep = Path("deep")
    descend = os.getcwd()
    for _ in range(19):
        deep /= "d" * 200
    try:
        for folder in deep.parts:
            os.mkdir(folder)
            os.chdir(folder)
        Image.new("RGB", (8, 8)).save("a.png")
    finally:
        os.chdir(descend)
    out = "o" * 200
    code, records, _ = run("deep", "shots/a.png", out=out)
    assert code == 0
    assert len(records) == 2
    assert all(Path(path).exists() for record in records for path in record["outputs"].values())


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\xfe\x00garbage\n",
        bytes(50) + b"\n",
        b"[" * 100_000 + b"\n",
        b'{"key": 3, "outputs": [1]}\n',
        b"null\n",
    ],
)
def test_a_damaged_log_is_read_as_far_as_it_goes(here: Path, run: Run, damage: bytes) -> None:
    assert run("shots")[0] == 0
    log = here / "out" / LOG
    log.write_bytes(damage + log.read_bytes())
    code, records, errors = run("shots")
    assert (code, records) == (0, [])
    assert f"warning: out/{LOG} is damaged in line 1: what stood there is done again." in errors


def test_a_log_that_is_a_folder_is_a_sentence(here: Path, run: Run) -> None:
    (here / "out" / LOG).mkdir(parents=True)
    code, _, errors = run("shots")
    assert code == 6
    assert "cannot be read (Is a directory)" in errors
    code, records, _ = run("shots", "out/..", out="other")
    assert (code, len(records)) == (0, 2), "it is known by its log all the same"
    (here / "shots/b" / LOG).mkdir()
    code, records, errors = run("shots/b", "shots/a.png", out="third")
    assert (code, len(records)) == (5, 2)
    assert f"shots/b/{LOG} cannot be read (Is a directory)" in errors


def test_what_a_killed_run_left_goes_at_the_next_start(here: Path, run: Run) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    out = here / "out"
    (out / "b").mkdir(parents=True)
    for number in (gone.pid, os.getpid()):
        (out / f".a_overlay.jpg.{number}.part").touch()
        (out / "b" / f".v_index.{number}.part").mkdir()
        (out / "b" / f".v_index.{number}.part" / "000000.png").touch()
    alive = out / f".other.mp4.{os.getppid()}.part"
    kept = [alive, out / ".mine.part", out / "x.1.part", out / "b" / "notes.part"]
    for path in kept:
        path.touch()
    assert run("shots")[0] == 0
    assert sorted(out.rglob("*.part")) == sorted(kept)


def test_a_run_killed_outright_leaves_nothing_after_the_next(here: Path, tiny_model: Path, run: Run) -> None:
    for i in range(300):
        (here / f"many/{i:03}.png").parent.mkdir(exist_ok=True)
        (here / f"many/{i:03}.png").symlink_to(here / "shots/a.png")
    command = [
        sys.executable,
        "-m",
        "pipeline.edge",
        "predict",
        "many",
        "--model",
        str(tiny_model),
        "--out",
        "out",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    code, _, _ = run("many")
    assert code == 0
    assert not list((here / "out").rglob("*.part"))
    assert len(list((here / "out").glob("*_overlay.jpg"))) == 300
