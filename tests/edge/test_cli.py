"""mic-edge: files written, JSON lines, exit codes and the manifest shown."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.edge.classes import CLASSES
from pipeline.edge.cli import _parser, main
from pipeline.edge.log import LOG

ROOT = Path(__file__).resolve().parents[2]
ALL = "overlay,index,confidence,json"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """street/a.png (red), street/a.jpg (blue), street/wet/a.png (green)"""
    folder = tmp_path / "street"
    (folder / "wet").mkdir(parents=True)
    Image.new("RGB", (90, 60), (250, 0, 0)).save(folder / "a.png")
    Image.new("RGB", (50, 80), (0, 0, 250)).save(folder / "a.jpg")
    Image.new("RGB", (33, 44), (0, 250, 0)).save(folder / "wet" / "a.png")
    return folder


def mic_edge(*arguments: object) -> int:
    """main, with argparse's exit as an exit code too."""
    try:
        return main([str(a) for a in arguments])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1


def test_predict_saves_everything_and_reports_it(
    tmp_path: Path, pictures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(pictures), "--model", str(tiny_model), "--out", str(out), "--save", ALL]) == 0
    captured = capsys.readouterr()
    records = [json.loads(line) for line in captured.out.splitlines()]
    assert [r["input"] for r in records] == [str(pictures / n) for n in ("a.jpg", "a.png", "wet/a.png")]
    assert "3 pictures in" in captured.err
    blue, red, green = records
    assert (red["height"], red["width"]) == (60, 90)
    assert red["classes"] == {"road": 1.0}
    assert blue["classes"] == {"building": 1.0}
    assert green["classes"] == {"sidewalk": 1.0}
    assert red["mean_confidence"] == pytest.approx(250 / 255, abs=0.01)
    assert set(red["milliseconds"]) == {"read", "prepare", "network", "finish"}
    assert green["outputs"] == {
        "overlay": str(out / "wet" / "a_overlay.jpg"),
        "index": str(out / "wet" / "a_index.png"),
        "confidence": str(out / "wet" / "a_confidence.png"),
        "json": str(out / "wet" / "a.json"),
    }
    named = sorted(path for r in records for path in r["outputs"].values())
    assert named == sorted(str(p) for p in out.rglob("*") if p.is_file() and p.name != LOG)
    for record in records:
        assert json.loads(Path(record["outputs"]["json"]).read_text()) == record
        index = np.array(Image.open(record["outputs"]["index"]))
        assert index.shape == (record["height"], record["width"])
        assert [CLASSES[index[0, 0]].name] == list(record["classes"])
        assert Image.open(record["outputs"]["overlay"]).size == index.shape[::-1]


def test_same_names_from_two_folders_do_not_overwrite_each_other(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, colour in (("one", (250, 0, 0)), ("two", (0, 250, 0))):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (32, 32), colour).save(tmp_path / folder / "x.png")
    inputs = [str(tmp_path / "one"), str(tmp_path / "two" / "x.png"), str(tmp_path / "one" / "x.png")]
    arguments = [
        "predict",
        *inputs,
        "--model",
        str(tiny_model),
        "--out",
        str(tmp_path / "out"),
        "--save",
        "index",
    ]
    assert main(arguments) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(r["outputs"]["index"]).name for r in records] == ["x_index.png", "x_2_index.png"]
    assert [np.array(Image.open(r["outputs"]["index"])).max() for r in records] == [0, 1]


def test_results_inside_the_input_folder_are_not_read_again(
    pictures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", str(pictures), "--model", str(tiny_model), "--out", str(pictures / "out")]
    for _ in range(2):
        arguments.append("--overwrite")
        assert main(arguments) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3


def test_safe_palette_colours_the_overlay(tmp_path: Path, pictures: Path, tiny_model: Path) -> None:
    drawn = {}
    for palette in ("cityscapes", "safe"):
        out = tmp_path / palette
        arguments = ["--model", str(tiny_model), "--out", str(out), "--save", "overlay", "--palette", palette]
        assert main(["predict", str(pictures / "a.png"), *arguments]) == 0
        assert sorted(p.name for p in out.iterdir()) == [LOG, "a_overlay.jpg"]
        drawn[palette] = np.array(Image.open(out / "a_overlay.jpg"))[30, 30].astype(float)
    photo = np.array([250, 0, 0])
    np.testing.assert_allclose(drawn["cityscapes"], 0.45 * photo + 0.55 * np.array(CLASSES[0].rgb), atol=4)
    np.testing.assert_allclose(drawn["safe"], 0.45 * photo + 0.55 * np.array(CLASSES[0].safe_rgb), atol=4)


def test_a_broken_picture_does_not_stop_the_others(
    tmp_path: Path, pictures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (pictures / "a.png").read_bytes()
    (pictures / "b.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "c.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert main(["predict", str(pictures), "--model", str(tiny_model), "--out", str(out)]) == 5
    captured = capsys.readouterr()
    records = [json.loads(line) for line in captured.out.splitlines()]
    assert ["error" in r for r in records] == [False, False, True, True, False]
    assert "damaged or cut short" in records[2]["error"]
    assert f"error: {records[3]['error']}" in captured.err
    assert "2 failed" in captured.err
    assert not list(out.glob("[bc]*"))


def test_mistakes_are_sentences_with_their_exit_code(
    tmp_path: Path,
    pictures: Path,
    tiny_model: Path,
    make_model: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.onnx").write_text("no model")
    picture, model = pictures / "a.png", ("--model", tiny_model)
    cases: list[tuple[int, str, tuple[object, ...]]] = [
        (2, "No such file or folder", ("predict", tmp_path / "nowhere.png", *model, "--out", out)),
        (2, "No picture or video in the folder", ("predict", tmp_path / "empty", *model, "--out", out)),
        (2, "unknown item 'masks'", ("predict", picture, *model, "--out", out, "--save", "index,masks")),
        (2, "'0' is no number of threads", ("predict", picture, *model, "--out", out, "--threads", "0")),
        (2, "is also an input", ("predict", pictures, *model, "--out", pictures)),
        (2, "is a file", ("predict", picture, *model, "--out", picture)),
        (2, "required", ("predict", picture, "--out", out)),
        (3, "No such model", ("predict", picture, "--model", tmp_path / "nowhere.onnx", "--out", out)),
        (3, "no sound ONNX file", ("info", tmp_path / "text.onnx")),
        (3, "holds no manifest", ("info", make_model(manifest=None))),
        (
            3,
            "answered class",
            ("predict", picture, "--model", make_model("odd.onnx", first_class=19), "--out", out),
        ),
    ]
    for code, says, arguments in cases:
        assert mic_edge(*arguments) == code, arguments
        captured = capsys.readouterr()
        assert says in captured.err
        assert "error: " in captured.err
        assert not captured.out
    assert [path.name for path in out.iterdir()] == [LOG]


def test_info_shows_the_manifest(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tiny_model)]) == 0
    shown = capsys.readouterr().out
    for text in (
        "brightest",
        "method        mic, seed 0",
        "adapted to    night, fog",
        "64 x 128",
        "target val    mIoU 50.0 %, pixel accuracy 80.0 %",
        "  fog         mIoU 60.0 %",
        "knows three classes only",
        "drawn by this test",
    ):
        assert text in shown
    assert "rider 0" not in shown  # a class without labels has no score, not 0


def test_info_json_is_the_manifest(
    tiny_model: Path, manifest_dict: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(tiny_model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) | {"hashes": None} == manifest_dict | {"hashes": None}


def test_the_commands_of_the_docs_are_ones() -> None:
    page = (ROOT / "docs" / "edge.md").read_text("utf-8")
    commands = re.findall(r"^(?:[^#\n]*\| )?mic-edge ((?:predict|bench|info|verify) .*)$", page, re.MULTILINE)
    assert len(commands) > 10
    for command in commands:
        _parser().parse_args(shlex.split(command, comments=True))
