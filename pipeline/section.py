"""What every block of params.yaml shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Size = tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]
"""(height, width) in pixels."""


class Section(BaseModel):
    """A block of params.yaml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
