"""What every block of params.yaml shares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

LARGEST_SIDE = 16384  # pixels; a camera of 16 384 x 16 384 fills 0.8 GB with one picture

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1e4)]
"""Of a loss: the published ones are 0.001 to 1."""
Side = Annotated[int, Field(ge=32, le=LARGEST_SIDE)]
Size = tuple[Side, Side]
"""(height, width) in pixels."""
Steps = Annotated[int, Field(le=10**9)]
"""No one waits for more: 10^9 steps of a millisecond are twelve days."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""As torch takes it."""


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if twice := next((v for i, v in enumerate(values) if v in values[:i]), None):
        raise ValueError(f"{twice!r} stands twice in the list")
    return values


EachOnce = AfterValidator(_each_once)


class Section(BaseModel):
    """A block of params.yaml: frozen, unknown keys refused, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, block: Any) -> Any:
        """Refuses what would be taken for something else: `true` for 1, an empty path for the current folder."""
        for name, field in cls.model_fields.items():
            value = block.get(name) if isinstance(block, dict) else None
            types = list(_types(field.annotation))
            for part in _scalars(value, into_blocks=Any in types):
                if isinstance(part, bool) and bool not in types and Any not in types:
                    raise ValueError(f"{name} is {str(part).lower()} where a number or a name is meant")
                if isinstance(part, float) and not math.isfinite(part) and Any in types:
                    raise ValueError(f"{name} holds {part}, which is no finite number")
                if isinstance(part, str) and not part.strip() and field.default != "":
                    raise ValueError(f"{name} is empty: write a value or leave the key out")
                if isinstance(part, str) and not _writable(part):
                    raise ValueError(f"{name} {part!a} has letters that no file name can hold")
        return block


def _types(annotation: Any) -> Iterator[Any]:
    """All that an annotation such as `tuple[Share, Share] | None` is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _scalars(value: Any, into_blocks: bool) -> Iterator[Any]:
    """The numbers, names and truths in a value; those of a block are its own fields' to check."""
    if isinstance(value, dict):
        inner = [*value, *value.values()] if into_blocks else []
    elif isinstance(value, list | tuple | set):
        inner = list(value)
    else:
        yield value
        return
    for part in inner:
        yield from _scalars(part, into_blocks)


def _writable(text: str) -> bool:
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text)
