"""bench: one row for each model and size, and a slower model called slower."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.edge.bench import bench, table
from pipeline.edge.cli import main
from pipeline.edge.runtime import Segmenter


def test_rows_by_size_then_model(make_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    models = [make_model("mic.onnx"), make_model("mic.int8.onnx")]
    sizes = ["--size", "100x200", "48x40"]
    arguments = ["bench", *map(str, models), *sizes, "--runs", "5", "--threads", "1"]
    assert main([*arguments, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(Path(r["model"]).name, r["size"], r["network_size"]) for r in rows] == [
        ("mic.onnx", [100, 200], [64, 128]),
        ("mic.int8.onnx", [100, 200], [64, 128]),
        ("mic.onnx", [48, 40], [96, 64]),  # 77 x 64, padded to the stride
        ("mic.int8.onnx", [48, 40], [96, 64]),
    ]
    for row in rows:
        assert (row["provider"], row["threads"], row["runs"]) == ("cpu", 1, 5)
        assert 0 < row["p50"] <= row["p90"] <= row["p99"]
        assert row["network"] < row["p99"]
        assert row["pictures_per_second"] > 0
    assert [bool(row["comparison"]) for row in rows] == [False, True, False, True]

    assert main(arguments) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "model"
    assert [line.split()[:3] for line in lines] == [
        ["mic.onnx", "100x200", "64x128"],
        ["mic.int8.onnx", "100x200", "64x128"],
        ["mic.onnx", "48x40", "96x64"],
        ["mic.int8.onnx", "48x40", "96x64"],
    ]


def test_a_slower_model_is_called_slower(
    make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = {"a.onnx": 10.0, "b.onnx": 25.0, "c.onnx": 5.0, "d.onnx": 10.1}
    models = [make_model(name) for name in taken]
    calls: list[str] = []
    honest = Segmenter.segment

    def timed(self: Segmenter, image: Any) -> Any:
        result = honest(self, image)
        warming_up = calls.count(self.path.name) < 3
        calls.append(self.path.name)
        network = 1e6 if warming_up else taken[self.path.name]
        result.milliseconds.update(prepare=1.0, network=network, finish=0.5)
        return result

    monkeypatch.setattr(Segmenter, "segment", timed)
    rows = bench(models, [], 4, "cpu", None)
    assert [row.comparison for row in rows] == [
        "",
        "slower than a.onnx: 2.30 times its time",
        "faster than a.onnx: 0.57 times its time",
        "as fast as a.onnx",
    ]
    assert [row.size for row in rows] == [(64, 128)] * 4
    assert (rows[0].p50, rows[0].p99, rows[0].prepare, rows[0].network) == (11.5, 11.5, 1.0, 10.0)
    assert rows[0].pictures_per_second == pytest.approx(1000 / 11.5)
    assert calls[12:16] == list(taken), "they take turns"
    assert "all" in table(rows).splitlines()[1].split()


@pytest.mark.parametrize("bad", [("--size", "720"), ("--size", "0x5"), ("--size", "axb"), ("--runs", "0")])
def test_mistakes_are_usage_errors(
    tiny_model: Path, bad: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", str(tiny_model), *bad])
    assert stop.value.code == 2
    assert f"{bad[1]!r} is no " in capsys.readouterr().err
