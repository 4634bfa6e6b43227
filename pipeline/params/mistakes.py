"""A wrong params file in a person's words: the key, the value, what is allowed, the nearest right name."""

from __future__ import annotations

import difflib
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from pipeline.params.data import FORMATS, MORE, ONE

SHOWN, LETTERS = 80, 400  # of a wrong value, and of what is said about one


def sentence(error: Any, model: type[BaseModel]) -> str:
    """A pydantic finding about `model` as `key: what is wrong, what is allowed`, in one line."""
    said = _cut(_finding(error, model), LETTERS)
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in said)


def _finding(error: Any, model: type[BaseModel]) -> str:
    where, data_set = _place(error["loc"])
    key = ".".join(where) or "the file"
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, where[:-1], data_set)
        near = difflib.get_close_matches(where[-1], known, n=1, cutoff=0.5)
        hint = f", did you mean {near[0]!r}?" if near else ""
        return f"unknown key {key}{hint}"
    if error["type"].startswith("union_tag"):
        return f"{key}.format must be one of {', '.join(FORMATS)}"
    if error["type"] == "missing":
        return f"{key} is missing"
    if error["type"] in ("model_type", "model_attributes_type") and error["input"] is None:
        return f"{key} is empty: give it keys or leave it out"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if error["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key} = {_short(error['input'])}: {message}"


def _short(value: Any) -> str:
    """A value as written, of a long one its beginning."""
    try:
        shown = repr(value)
    except ValueError:  # thousands of digits
        return "a very long number"
    return _cut(shown, SHOWN)


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[:letters]}..."


def _place(loc: tuple[str | int, ...]) -> tuple[list[str], str | None]:
    """The key path as in the file, and the format of the data set it leads through.

    pydantic has both form and format in it: data.source.camvid.root, data.target.more.1.gta.root.
    """
    place = list(loc)
    if place[:1] != ["data"] or place[1:2] not in (["source"], ["target"]):
        return [str(x) for x in place], None
    if place[2:3] in ([ONE], [MORE]):
        place.pop(2)
    at = 3 if len(place) > 2 and isinstance(place[2], int) else 2
    data_set = str(place.pop(at)) if len(place) > at else None
    return [str(x) for x in place], data_set


def _known_keys(model: type[BaseModel], path: list[str], data_set: str | None) -> list[str]:
    """Field names at a key path of a model; of the data sets those of one format alone."""
    models = [model]
    for name in path:
        if name.isdigit():  # a place in a list is of the type of the list
            continue
        found = [m.model_fields[name].annotation for m in models if name in m.model_fields]
        models = [inner for annotation in found for inner in _models_in(annotation)]
    formats = {m: get_args(m.model_fields["format"].annotation) for m in models if "format" in m.model_fields}
    return [f for m in models if m not in formats or data_set in formats[m] for f in m.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The params blocks inside a type such as `Block | None` or `tuple[Block, ...]`."""
    if get_origin(annotation) in (Union, UnionType, Annotated, tuple):
        return [m for a in get_args(annotation) for m in _models_in(a)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
