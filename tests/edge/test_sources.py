"""What the inputs name: files, folders, patterns, lists on stdin, cameras; and where the results go."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from pipeline.edge.errors import UserError
from pipeline.edge.sources import plan


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder with shots/ in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.JPG", "b/1.png", "a.webp", "a.mp4", "notes.txt", ".hidden.png", "b/.cache/3.png"):
        path = tmp_path / "shots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def planned(*inputs: str, out: str = "out", stdin: bytes = b"") -> list[tuple[str, str, str]]:
    sources = plan(list(inputs), Path(out), io.BytesIO(stdin)).sources
    return [(s.kind, str(s.path), os.path.relpath(s.target, out)) for s in sources]


def test_a_folder_is_searched_and_its_paths_are_kept(shots: Path) -> None:
    everything = [
        ("video", "shots/a.mp4", "a"),
        ("picture", "shots/a.webp", "a"),
        ("picture", "shots/b/1.png", "b/1"),
        ("picture", "shots/b/2.JPG", "b/2"),
    ]
    assert planned("shots") == everything
    assert planned("shots/**") == everything
    assert planned("./shots/*", "shots") == everything


def test_a_pattern_keeps_the_path_below_its_fixed_part(shots: Path) -> None:
    assert planned("shots/**/*.png") == [("picture", "shots/b/1.png", "b/1")]
    assert planned("shots/?/*") == [
        ("picture", "shots/b/1.png", "b/1"),
        ("picture", "shots/b/2.JPG", "b/2"),
    ]
    assert planned(str(shots / "sh*" / "b" / "[1]*")) == [
        ("picture", str(shots / "shots/b/1.png"), "shots/b/1")
    ]
    (shots / "shots" / "[x].png").touch()  # a name that is there is no pattern
    assert planned("shots/[x].png") == [("picture", "shots/[x].png", "[x]")]


def test_files_are_taken_as_named_once_and_never_collide(shots: Path) -> None:
    (shots / "shots" / "a.png").touch()
    assert planned("shots/notes.txt", "shots/b", "shots/b/../b/1.png", "shots/a.png", "shots/a.webp") == [
        ("picture", "shots/notes.txt", "notes"),
        ("picture", "shots/b/1.png", "1"),
        ("picture", "shots/b/2.JPG", "2"),
        ("picture", "shots/a.png", "a"),
        ("picture", "shots/a.webp", "a_2"),
    ]


def test_results_inside_an_input_are_no_inputs(shots: Path) -> None:
    (shots / "shots" / "out").mkdir()
    (shots / "shots" / "out" / "a_overlay.jpg").touch()
    for item in ("shots/b", "shots", "shots/**", "."):
        assert not [p for _, p, _ in planned(item, out="shots/out") if "overlay" in p]
    listed = b"shots/out/a_overlay.jpg\nshots/b/1.png\n"
    assert [p for _, p, _ in planned("-", out="shots/out", stdin=listed)] == ["shots/b/1.png"]
    assert [p for _, p, _ in planned("shots/b", out=".")] == ["shots/b/1.png", "shots/b/2.JPG"]
    with pytest.raises(UserError, match="is also an input"):
        planned("shots/*", out="shots")


def test_stdin_lists_paths_one_a_line(shots: Path) -> None:
    listed = f"shots/b/1.png\r\n\nmissing/[x] *.jpg\n{shots}/shots/b/2.JPG\n../a.mp4\nshots/b\n".encode()
    assert planned("-", stdin=listed) == [
        ("picture", "shots/b/1.png", "shots/b/1"),
        ("picture", "missing/[x] *.jpg", "missing/[x] *"),  # fails later, on its own
        ("picture", f"{shots}/shots/b/2.JPG", "2"),
        ("video", "../a.mp4", "a"),
    ]
    odd = b"shots/\xff.png\n"  # no UTF-8
    assert os.fsencode(planned("-", stdin=odd)[0][1]) == b"shots/\xff.png"


def test_what_names_nothing_is_said(shots: Path) -> None:
    (shots / "empty").mkdir()
    for item, says in (
        ("nowhere", "No such file or folder: nowhere"),
        ("empty", "No picture or video in the folder empty"),
        ("shots/*.tif", r"No picture or video matches the pattern shots/\*\.tif"),
        ("77", "No camera 77: /dev/video77 does not exist"),
        ("-", "the inputs name no picture or video"),
    ):
        with pytest.raises(UserError, match=says):
            planned(item)


def test_a_number_is_a_camera_unless_a_file_has_that_name(
    shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.edge.sources._camera_device", lambda number: Path(f"/dev/video{number}"))
    assert planned("0") == [("camera", "/dev/video0", "camera0")]
    with pytest.raises(UserError, match="/dev/video1 is a second input without an end"):
        planned("0", "1")
    (shots / "out").mkdir()
    (shots / "out" / "camera0.jsonl").touch()
    assert planned("0") == [("camera", "/dev/video0", "camera0_2")]
    (shots / "0").touch()
    assert planned("0") == [("picture", "0", "0")]


def test_cameras_are_for_linux(shots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(UserError, match="cameras are read on Linux alone"):
        planned("0")
