"""The index of a domain with boxes: one JSON object a line for each picture, from `prepare` for later stages."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipeline.edge.errors import UserError
from pipeline.run.files import write_bytes


@dataclass(frozen=True)
class BoxRecord:
    """A picture that passed the checks of `prepare`; its path is from the project root, or absolute."""

    image: str
    boxes: list[list[float]] | None
    """x1, y1, x2, y2 in pixels of the picture, ends exclusive; None where there are no labels, and always for target
    training pictures: adaptation never sees those."""
    labels: list[int] | None
    """Class id of each box: its position in data.classes."""
    ignored: list[bool] | None
    """Which boxes are neither learned nor scored."""
    domain: str
    split: str
    condition: str
    height: int
    width: int
    sha256: str
    """Of the decoded RGB pixels, so that the same picture under another name or format is recognised."""
    grey: float = 0.0
    """Mean grey level (ITU-R 601 luma), 0..255."""


FIELDS = {f.name for f in fields(BoxRecord)}


def read_box_index(path: Path) -> list[BoxRecord]:
    """Records of an index file, in file order. Raises UserError where it is missing or broken."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if unfit := next((row for row in rows if set(row) != FIELDS), None):
            raise ValueError(f"fields {', '.join(sorted(FIELDS ^ set(unfit)))}")
        return [BoxRecord(**row) for row in rows]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `dvc repro prepare` first") from None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} is not an index of boxes of this version ({error}); run `dvc repro -f prepare`"
        ) from None


def write_box_index(path: Path, records: list[BoxRecord]) -> None:
    """Write beside and rename, so that an index is whole or absent."""
    write_bytes(path, "".join(json.dumps(asdict(r)) + "\n" for r in records).encode())
