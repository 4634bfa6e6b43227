"""A second run into the same folder does the rest alone; broken pictures are listed and tried again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.edge.cli import main
from pipeline.edge.log import LOG

Run = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "street"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (40, 30), (250, 0, 0)).save(folder / name)
    return folder


@pytest.fixture
def run(pictures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """predict street/ into out/: exit code, names of the inputs that were done, stderr."""

    def run(*options: object, model: Path = tiny_model, inputs: tuple[Path, ...] = (pictures,)):
        out = pictures.parent / "out"
        code = main(["predict", *(str(a) for a in (*inputs, "--model", model, "--out", out, *options))])
        captured = capsys.readouterr()
        return code, [Path(json.loads(x)["input"]).name for x in captured.out.splitlines()], captured.err

    return run


@pytest.mark.parametrize("save", ["overlay,index,json", "index"])
def test_a_second_run_does_the_rest(pictures: Path, run: Run, save: str) -> None:
    out = pictures.parent / "out"
    assert run("--save", save)[1] == ["a.png", "b.png", "c.png"]
    code, done, errors = run("--save", save)
    assert (code, done) == (0, [])
    assert "nothing to do in 0.0 s, 3 already done" in errors

    (out / "a_index.png").unlink()
    Image.new("RGB", (40, 30), (0, 250, 0)).save(pictures / "b.png")
    Image.new("RGB", (40, 30), (0, 250, 0)).save(pictures / "d.png")
    code, done, errors = run("--save", save)
    assert (code, done) == (0, ["a.png", "b.png", "d.png"])
    assert "3 pictures in" in errors
    assert ", 1 already done;" in errors
    assert run("--save", save, "--overwrite")[1] == ["a.png", "b.png", "c.png", "d.png"]


def test_a_picture_replaced_by_an_older_one_is_done_again(pictures: Path, run: Run) -> None:
    run()
    Image.new("RGB", (40, 30), (0, 0, 250)).save(pictures / "c.png")
    os.utime(pictures / "c.png", (1e9, 1e9))
    assert run()[1] == ["c.png"]


def test_what_is_asked_for_decides_what_is_done(pictures: Path, run: Run) -> None:
    run("--save", "overlay,index")
    assert run("--save", "index")[1] == []
    assert run("--save", "index,confidence")[1] == ["a.png", "b.png", "c.png"]
    assert run("--save", "index,confidence", "--palette", "safe")[1] == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("save", ["index,json", "index"])
def test_results_of_another_model_or_input_do_not_count(
    pictures: Path, run: Run, make_model: Callable[..., Path], save: str
) -> None:
    run("--save", save)
    other = make_model(first_class=5)
    assert run("--save", save, model=other)[1] == ["a.png", "b.png", "c.png"]
    assert run("--save", save, model=other)[1] == []
    assert run("--save", save)[1] == ["a.png", "b.png", "c.png"]
    night = pictures.parent / "night"
    shutil.copytree(pictures, night)  # the same names, sizes and times
    assert run("--save", save, inputs=(night,))[1] == ["a.png", "b.png", "c.png"]
    assert run("--save", save)[1] == ["a.png", "b.png", "c.png"]


def test_a_log_that_a_crash_cut_off_is_read_as_far_as_it_goes(pictures: Path, run: Run) -> None:
    run()
    log = pictures.parent / "out" / LOG
    log.write_text(log.read_text()[:-40])
    assert run()[1] == ["c.png"]
    assert run()[1] == []


def test_broken_pictures_are_listed_and_tried_again(pictures: Path, run: Run) -> None:
    out = pictures.parent / "out"
    for i in range(25):
        (pictures / f"x{i:02}.png").write_bytes(b"no picture")
    code, done, errors = run()
    assert (code, len(done)) == (5, 28)
    assert "28 pictures in" in errors
    assert "25 failed" in errors
    assert errors.count("error: ") == 20
    assert f"and 5 more errors, see {out / 'failures.txt'}" in errors
    rows = [line.split("\t") for line in (out / "failures.txt").read_text().splitlines()]
    assert [name for name, _ in rows] == [str(pictures / f"x{i:02}.png") for i in range(25)]
    assert all("is not a picture that can be read" in sentence for _, sentence in rows)

    for broken in pictures.glob("x*.png"):
        Image.new("RGB", (40, 30)).save(broken)
    code, done, errors = run()
    assert (code, len(done)) == (0, 25)
    assert "3 already done" in errors
    assert not (out / "failures.txt").exists()


def test_a_path_missing_on_stdin_fails_alone(
    pictures: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = pictures.parent / "list.txt"
    listed.write_text(f"{pictures}/a.png\n{pictures}/gone.png\n{pictures}/b.png\n")
    with listed.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        code, done, errors = run(inputs=(Path("-"),))
    assert (code, done) == (5, ["a.png", "gone.png", "b.png"])
    assert f"error: No such picture: {pictures}/gone.png" in errors
