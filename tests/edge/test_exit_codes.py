"""Exit codes: the help, the table in docs/edge.md and the errors' own agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.edge import errors, interruption
from pipeline.edge.cli import main

DOCS = Path(__file__).parents[2] / "docs" / "edge.md"


def helped(capsys: pytest.CaptureFixture[str]) -> dict[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--help"])
    assert ended.value.code == 0
    _, _, told = " ".join(capsys.readouterr().out.split()).partition("exit codes: ")
    return {int(code): meaning for code, meaning in re.findall(r"(\d+) ([^,]+)", told)}


def test_the_table_in_the_docs_is_that_of_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| [^|]+ \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == helped(capsys)


def test_every_code_of_the_code_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    own = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.UserError)
    }
    assert set(helped(capsys)) == {0, 5, interruption.EXIT_CODE} | own
