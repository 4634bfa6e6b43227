"""Rows of the bench: the right side of a budget holds, and two runs take turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pipeline.bench import __main__ as bench
from pipeline.bench import edge, inference, memory, page, repro, training
from pipeline.bench.row import Row, medians_in_turn

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("ratio", "at_least", "holds"),
    [(1.1, False, True), (1.11, False, False), (1.1, True, True), (1.0, True, False), (None, False, None)],
)
def test_a_budget_holds_on_its_own_side(ratio: float | None, at_least: bool, holds: bool | None) -> None:
    row = Row("step", ratio, 1.1, "3 ms", at_least)
    assert row.holds is holds
    limit = "at least" if at_least else "at most"
    assert row.as_json == {"ratio": ratio, "budget": 1.1, "holds": holds, "detail": f"{limit} 1.1: 3 ms"}


def test_runs_take_turns_and_the_first_of_each_is_not_counted() -> None:
    turns: list[str] = []
    answers = {"a": iter([99.0, 1, 5, 3]), "b": iter([99.0, 20, 30, 10])}

    def run(name: str) -> float:
        turns.append(name)
        return next(answers[name])

    assert medians_in_turn(lambda: run("a"), lambda: run("b"), rounds=3) == (3, 20)
    assert turns == ["a", "b"] * 4


def test_the_bench_writes_every_row_with_machine_and_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    groups = {
        repro: "repro",
        inference: "evaluate",
        edge: "edge_image",
        page: "page",
        memory: "memory_edge",
        training: "mic_step",
    }
    for group, name in groups.items():
        monkeypatch.setattr(group, "rows", lambda *_, name=name: [Row(name, 2.0, 1.5, "a detail")])
    assert bench.main([]) == 0, "a budget that does not hold is a finding, not a failure"
    written = json.loads((tmp_path / "metrics" / "bench.json").read_text())
    assert set(written) == {*groups.values(), "machine", "date"}
    assert written["page"] == {"ratio": 2.0, "budget": 1.5, "holds": False, "detail": "at most 1.5: a detail"}
    assert "NO" in capsys.readouterr().out
