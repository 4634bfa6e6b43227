"""The index of a domain: one JSON object a line for each picture; prepare writes it, later stages read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipeline.edge.errors import UserError
from pipeline.run.files import write_bytes


@dataclass(frozen=True)
class Record:
    """A picture that passed the checks of `prepare`; paths are from the project root, or absolute.

    A path may lead into a .zip archive: `read_picture` and `read_record_label` open both kinds.
    """

    image: str
    label: str | None
    """None where there is no label, and always for target training pictures: adaptation never sees those."""
    domain: str
    split: str
    condition: str
    height: int
    width: int
    pixels: list[int] | None
    """Pixels of each of the 19 classes in the full-size label; None without a label."""
    sha256: str
    """Of the decoded RGB pixels, so that the same picture under another name or format is recognised."""
    data_set: int = 0
    """Position in `data.target` where that is a list of data sets; the label map is that data set's."""
    grey: float = 0.0
    """Mean grey level (ITU-R 601 luma), 0..255."""


FIELDS = {f.name for f in fields(Record)}


def read_index(path: Path) -> list[Record]:
    """Records of an index file, in file order. Raises UserError where it is missing or broken."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        if unfit := next((row for row in rows if set(row) != FIELDS), None):
            raise ValueError(f"fields {', '.join(sorted(FIELDS ^ set(unfit)))}")
        return [Record(**row) for row in rows]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `dvc repro prepare` first") from None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} is not an index of this version ({error}); run `dvc repro -f prepare`"
        ) from None


def write_index(path: Path, records: list[Record]) -> None:
    """Write beside and rename, so that an index is whole or absent."""
    write_bytes(path, "".join(json.dumps(asdict(r)) + "\n" for r in records).encode())


def of_split(records: list[Record], split: str) -> list[Record]:
    """The records of one split, "train" or "val", in order."""
    return [r for r in records if r.split == split]
