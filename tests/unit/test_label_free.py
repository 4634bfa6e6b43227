"""Teacher-student agreement and masked consistency, on networks whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.data.index import Record
from pipeline.evaluation.label_free import label_free
from pipeline.params import Params, load_params

pytestmark = pytest.mark.floats

PARAMS = load_params(Path("params.yaml"))


class Bright(nn.Module):
    """Sky where a pixel is brighter than the mean colour, else road."""

    def __init__(self, flip: bool = False) -> None:
        super().__init__()
        self.flip = flip

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.zeros(len(images), 19, *images.shape[-2:])
        bright = images.mean(dim=1) > 0.1
        logits[:, 10] = (bright != self.flip).float()
        logits[:, 0] = (bright == self.flip).float()
        return logits


@pytest.fixture
def picture(tmp_path: Path) -> Record:
    """White above, black below."""
    pixels = np.zeros((128, 256, 3), np.uint8)
    pixels[:64] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return Record(
        str(tmp_path / "a.png"),
        None,
        "target",
        "train",
        "night",
        height=128,
        width=256,
        pixels=None,
        sha256="",
    )


def with_ratio(ratio: float) -> Params:
    uda = PARAMS.train.uda.model_copy(update={"mask_ratio": ratio})
    return PARAMS.model_copy(update={"train": PARAMS.train.model_copy(update={"uda": uda})})


def test_agreement_counts_equal_pixels(picture: Record) -> None:
    student, device = Bright().eval(), torch.device("cpu")
    assert label_free(student, Bright().eval(), [picture], PARAMS, device)["teacher_agreement"] == 1
    assert label_free(student, Bright(flip=True).eval(), [picture], PARAMS, device)["teacher_agreement"] == 0
    assert label_free(student, None, [picture], PARAMS, device)["teacher_agreement"] is None


def test_masked_consistency_looks_at_hidden_pixels_only(picture: Record) -> None:
    # Hidden pixels have the mean colour, which this network calls road: right below, wrong above.
    hidden_all = label_free(Bright().eval(), None, [picture], with_ratio(1.0), torch.device("cpu"))
    assert hidden_all["masked_consistency"] == pytest.approx(0.5)
    hidden_none = label_free(Bright().eval(), None, [picture], with_ratio(0.0), torch.device("cpu"))
    assert hidden_none["masked_consistency"] is None


def test_the_masks_do_not_depend_on_the_seed_of_the_run(picture: Record) -> None:
    answers = [
        label_free(
            Bright().eval(), None, [picture], PARAMS.model_copy(update={"seed": s}), torch.device("cpu")
        )
        for s in (0, 1)
    ]
    assert answers[0] == answers[1]
