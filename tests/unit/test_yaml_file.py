"""YAML files: read as DVC reads them, every key once, UTF-8; whatever else is one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ablation import load_grid
from pipeline.edge.errors import UserError
from pipeline.params import load_params
from pipeline.params.yaml_file import read_yaml


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as refused:
        read_yaml(path, "look elsewhere")
    sentence = str(refused.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", "'a'", "1 and 3"),
        ("x:\n  1: car\n  2: road\n  1: sky\n", "1", "2 and 4"),
        ("x:\n  1: car\n  '1': sky\n", "'1'", "2 and 3"),
        ("x:\n  1: car\n  1.0: sky\n", "1.0", "2 and 3"),
        ("x:\n  1: car\n  0x1: sky\n", "1", "2 and 3"),
        ("a:\n  - b: {c: 1,\n         c: 1}\n", "'c'", "2 and 3"),
        ("? a\n: 1\n? a\n: 2\n", "'a'", "1 and 3"),
        ("&k a: 1\n'a': 2\n", "'a'", "1 and 2"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(
    tmp_path: Path, text: str, key: str, lines: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    assert f"the key {key} stands twice, in lines {lines}" in refusal(path)


def test_grids_and_profiles_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("params: params.yaml\nrows:\n  mic: {method: mic}\n  mic: {method: source_only}\n")
    for load in (load_grid, load_params):
        with pytest.raises(UserError, match="the key 'mic' stands twice, in lines 3 and 4"):
            load(path)


def test_the_case_of_an_id_twice_in_id_map(shared: Path) -> None:
    with pytest.raises(UserError, match=r"the key 1 stands twice, in lines 13 and 14: keep one"):
        load_params(shared / "cases" / "14-duplicate-keys" / "params.yaml")


def test_a_merged_key_may_be_written_over(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}\n")
    assert read_yaml(tmp_path / "p.yaml", "")["y"] == {"a": 3, "b": 2}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_is_read_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "p.yaml").write_text("weather: nässe\n", encoding=encoding)
    assert read_yaml(tmp_path / "p.yaml", "") == {"weather": "nässe"}


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", "looks like UTF-16: save it as UTF-8"),
        ("utf-16-be", "looks like UTF-16 without a mark"),
        ("utf-16-le", "looks like UTF-16 without a mark"),
        ("utf-32", "looks like UTF-32"),
        ("latin-1", "is not UTF-8 (byte 0xe4 in line 2): save it as UTF-8"),
        ("cp1252", "is not UTF-8 (byte 0xe4 in line 2)"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, encoding: str, said: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes("seed: 1\nweather: nässe\n".encode(encoding))
    assert said in refusal(path)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith("is a folder, not a file: look elsewhere")
    assert refusal(tmp_path / "none.yaml").endswith("does not exist: look elsewhere")
    (tmp_path / "file").touch()
    assert "cannot be read (Not a directory)" in refusal(tmp_path / "file" / "p.yaml")
    assert "cannot be read (File name too long)" in refusal(tmp_path / ("n" * 300))


BROKEN = {
    "a: [1": "line 1",
    "a: \t- b": "line 1, column 4",
    "a: !odd 3": "line 1, column 4: could not determine a constructor",
    "---\na: 1\n---\nb: 2": "line 3",
    "[" * 5000: "nested too deeply",
    "a: \x07": "special characters",
    "a: 2020-13-45": "month must be in 1..12",
    "a: " + "9" * 5000: "digits",
    "a: !!omap [a: 1, a: 2]": "is not valid YAML",
    "<<: 3": "expected a mapping",
    "? {a: 1}\n: 2": "unhashable",
}


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:12])
def test_broken_yaml_is_one_sentence_with_its_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    assert BROKEN[text] in refusal(path)


SCALARS = [
    "yes",
    "on",
    "NO",
    "010",
    "0o10",
    "0x1F",
    "1e-3",
    "1E5",
    "1:30",
    "1_000",
    ".inf",
    "-.INF",
    "~",
    "+.5",
    "5.",
]


@pytest.mark.parametrize("scalar", SCALARS)
def test_values_are_what_dvc_reads(tmp_path: Path, scalar: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"a: {scalar}\n")
    assert read_yaml(path, "") == parse_yaml(f"a: {scalar}\n", str(path))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text("ab1:'\"-[]{}&*!?<~#|> \n\t", max_size=60).map(str.encode)))
def test_any_bytes_are_read_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        found: Any = read_yaml(path, "look elsewhere")
    except UserError:
        assert refusal(path)
    else:
        assert found == parse_yaml(content.decode("utf-8-sig"), str(path)) or not found
