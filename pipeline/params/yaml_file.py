"""YAML files (params, grids) read as DVC reads them: YAML 1.2, UTF-8, every key once."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError

from pipeline.edge.errors import UserError

# The marks by which other encodings begin; UTF-32's before UTF-16's, which it begins with.
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_yaml(path: Path, where: str) -> Any:
    """What a YAML file holds; `where` tells a person what to do if it is missing.

    Raises:
        UserError: the file is missing, a folder, not UTF-8 or no YAML, or names a key twice.
    """
    text = _read_text(path, where)
    yaml = YAML(typ="safe", pure=True)  # pure: the parser in C tells no places
    yaml.Constructor = _EachKeyOnce
    try:
        return yaml.load(text)
    except _Twice as twice:
        raise UserError(f"{path}: {twice}: keep one of them") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise UserError(f"{path} is not valid YAML:{place} {error.problem or error.context}") from None
    except RecursionError:
        raise UserError(f"{path} is not valid YAML: it is nested too deeply") from None
    except Exception as error:  # an odd tag, date or number ends in anything
        raise UserError(
            f"{path} is not valid YAML: {' '.join(str(error).split()) or type(error).__name__}"
        ) from None


def _read_text(path: Path, where: str) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {where}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, not a file: {where}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {where}") from None
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    if encoding is None and b"\0" in content:
        encoding = "UTF-16 without a mark"
    if encoding is not None:
        raise UserError(f"{path} looks like {encoding}: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise UserError(f"{path} is not UTF-8 (byte 0x{byte:02x} in line {line}): save it as UTF-8") from None


class _Twice(Exception):  # noqa: N818  reads as what it is
    """A key that stands twice in one block."""


class _EachKeyOnce(SafeConstructor):
    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
        """1 and "1" are one key too: the params read both as a number."""
        same = [k for k in mapping if k == key or str(k) == str(key)]
        if same:
            first = next(k for k, _ in node.value if self.construct_object(k) == same[0])
            lines = f"{first.start_mark.line + 1} and {key_node.start_mark.line + 1}"
            raise _Twice(f"the key {key!r} stands twice, in lines {lines}")
        return True
