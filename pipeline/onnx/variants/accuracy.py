"""What a variant loses against its fp32 file: mIoU where target labels are, agreement of the classes anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.runtime import Segmenter
from pipeline.evaluation.inference import Prediction
from pipeline.evaluation.scoring import Seen, domain_metrics, score_onnx, spread
from pipeline.params.data import Data

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
        self._looked_at = [records[i] for i in spread(records, AGREEMENT_PICTURES)]
        self.probes = [self._looked_at[i] for i in spread(self._looked_at, PROBES)]
        self._expected: dict[str, np.ndarray] = {}
        images = {record.image for record in self._looked_at}

        def keep(record: Record, prediction: Prediction) -> None:
            if record.image in images:
                self._expected[record.image] = prediction.classes

        self.fp32 = Accuracy(self._score(fp32, keep), 1.0)

    @property
    def pictures(self) -> int:
        """How many pictures the agreement is measured on."""
        return len(self._looked_at)

    def examine(self, model: Segmenter) -> Accuracy:
        """The whole answer: all target pictures are predicted."""
        shares: list[float] = []

        def agree(record: Record, prediction: Prediction) -> None:
            if record.image in self._expected:
                shares.append(float((prediction.classes == self._expected[record.image]).mean()))

        return Accuracy(self._score(model, agree), float(np.mean(shares)))

    def probe(self, model: Segmenter) -> float:
        """Agreement on few pictures: enough to rank modules by."""
        answers = (
            (model.segment(read_picture(r.image)).classes, self._expected[r.image]) for r in self.probes
        )
        return float(np.mean([(found == expected).mean() for found, expected in answers]))

    def _score(self, model: Segmenter, seen: Seen) -> dict[str, Any]:
        return domain_metrics(
            score_onnx(model, self._records, self._data, f"{model.path.stem} on target", seen)
        )
