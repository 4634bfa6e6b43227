"""docs/method.md names code, tests and golden vectors that exist, and leaves no golden vector out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| [1-478]", line)
]


@cache
def sources(path: Path) -> dict[str, str]:
    """Name -> source of the functions and classes of a file, methods as Class.method."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = ast.unparse(node)
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            found |= {f"{node.name}.{part.name}": ast.unparse(part) for part in methods}
    return found


def test_every_row_names_code_and_tests_that_exist() -> None:
    assert len(ROWS) > 40
    for section, rule, code, tests, golden in ROWS:
        texts = {}
        for folder, cell, separator in (("pipeline", code, ":"), ("tests", tests, "::")):
            entries = re.findall(r"`([^`]+)`", cell)
            assert entries, f"{section} {rule}: nothing in {folder}/"
            for entry in entries:
                path, name = entry.split(separator)
                assert name in sources(ROOT / folder / path), f"{section} {rule}: {entry}"
                texts[folder] = texts.get(folder, "") + sources(ROOT / folder / path)[name]
        for vectors in re.findall(r"`(\w+)\.npz`", golden):
            assert f"golden('{vectors}')" in texts["tests"], f"{section} {rule}: no test uses {vectors}.npz"


def test_every_section_is_there() -> None:
    wanted = {"1", *(f"1.{i}" for i in range(1, 9)), *(f"2.{i}" for i in range(1, 4))}
    wanted |= {*(f"3.{i}" for i in range(1, 5)), "4", "7", "8"}
    assert {row[0] for row in ROWS} == wanted


def test_every_golden_vector_is_named(shared: Path) -> None:
    there = {path.stem for path in (shared / "golden").glob("*.npz")}
    if not there:
        pytest.skip("no golden vectors here")
    assert set(re.findall(r"`(\w+)\.npz`", PAGE)) == there
