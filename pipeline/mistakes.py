"""A wrong params file in a person's words: the key, the value, what is allowed, the nearest right name."""

from __future__ import annotations

import difflib
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


def sentence(error: Any, model: type[BaseModel]) -> str:
    """A pydantic finding about `model` as `key: what is wrong, what is allowed`."""
    # pydantic puts the format of a domain into the path: data.source.camvid.root
    loc = error["loc"]
    where = [
        str(x)
        for i, x in enumerate(loc)
        if not (i == 2 and loc[0] == "data" and loc[1] in ("source", "target"))
    ]
    key = ".".join(where) or "the file"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where[-1], _known_keys(model, where[:-1]), n=1, cutoff=0.5)
        hint = f", did you mean {near[0]!r}?" if near else ""
        return f"unknown key {key}{hint}"
    if error["type"].startswith("union_tag"):
        return f"{key}.format must be one of scenes, camvid, folders"
    if error["type"] == "missing":
        return f"{key} is missing"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if error["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key} = {error['input']!r}: {message}"


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Field names at a key path of a model."""
    models = [model]
    for name in path:
        found = [m.model_fields[name].annotation for m in models if name in m.model_fields]
        models = [inner for annotation in found for inner in _models_in(annotation)]
    return [field for m in models for field in m.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The params blocks inside a type such as `Block | None`."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [m for a in get_args(annotation) for m in _models_in(a)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
