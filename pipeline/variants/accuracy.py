"""What a variant loses against its fp32 file: mIoU where target labels are, agreement of the classes anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.runtime import Segmenter
from pipeline.evaluation.scoring import domain_metrics, score_onnx, spread
from pipeline.params_data import Data

AGREEMENT_PICTURES = 60  # on which classes are compared; those of fp32 are kept in memory
PROBES = 6  # of them, for the sensitivity of one module


@dataclass(frozen=True)
class Accuracy:
    """One file on the target pictures."""

    target: dict[str, Any]
    """The block of metrics/<method>.json."""
    agreement: float
    """Share of pixels, 0..1, whose class is that of the fp32 file."""

    @property
    def miou(self) -> float | None:
        """0..1; None without labels."""
        return self.target["miou"]


class Examiner:
    """Compares files with one fp32 file on target pictures, all through the runtime that ships."""

    def __init__(self, fp32: Segmenter, records: Sequence[Record], data: Data) -> None:
        self._fp32, self._records, self._data = fp32, records, data
        looked_at = [records[i] for i in spread(records, AGREEMENT_PICTURES)]
        self._expected = [(record, fp32.segment(read_picture(record.image)).classes) for record in looked_at]
        self._probes = [self._expected[i] for i in spread(looked_at, PROBES)]
        self.fp32 = Accuracy(self._score(fp32), 1.0)

    @property
    def pictures(self) -> int:
        """How many pictures the agreement is measured on."""
        return len(self._expected)

    def examine(self, model: Segmenter) -> Accuracy:
        """The whole answer: all target pictures are predicted."""
        return Accuracy(self._score(model), _agreement(model, self._expected))

    def probe(self, model: Segmenter) -> float:
        """Agreement on few pictures: enough to rank modules by."""
        return _agreement(model, self._probes)

    def probe_graph(self, model: Segmenter) -> float:
        """Agreement on few pictures, both files being given what `model` asks for: its size does not count."""
        shares = []
        for record, _ in self._probes:
            prepared = model.prepare(read_picture(record.image))
            shares.append((self._fp32.run(prepared).classes == model.run(prepared).classes).mean())
        return float(np.mean(shares))

    def _score(self, model: Segmenter) -> dict[str, Any]:
        return domain_metrics(score_onnx(model, self._records, self._data, f"{model.path.stem} on target"))


def _agreement(model: Segmenter, expected: Sequence[tuple[Record, np.ndarray]]) -> float:
    shares = [(model.segment(read_picture(r.image)).classes == classes).mean() for r, classes in expected]
    return float(np.mean(shares))
