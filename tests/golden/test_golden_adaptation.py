"""The parts of the method against the published implementation's outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.adaptation.masking import block_mask, mask_grid
from pipeline.adaptation.teacher import Teacher, ema_decay
from pipeline.tasks.segmentation.classmix import class_mask, draw_classes, mix
from pipeline.tasks.segmentation.cross_entropy import cross_entropy
from pipeline.tasks.segmentation.entropy_minimisation import entropy
from pipeline.tasks.segmentation.feature_distance import THINGS, downscale_label, thing_distance
from pipeline.tasks.segmentation.pseudo_label import pseudo_label

pytestmark = pytest.mark.floats

Golden = Callable[[str], dict[str, np.ndarray]]
assert_close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


class Vector(nn.Module):
    """As many parameters as the golden network, the first one 0-dimensional, and its batch norm's buffers."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))
        self.norm = nn.BatchNorm2d(channels)
        self.rest = nn.Parameter(torch.zeros(size - 1 - 2 * channels))

    def fill(self, parameters: np.ndarray, buffers: np.ndarray) -> None:
        nn.utils.vector_to_parameters(torch.from_numpy(parameters), self.parameters())
        mean, variance = torch.from_numpy(buffers).chunk(2)
        self.norm.load_state_dict({"running_mean": mean, "running_var": variance}, strict=False)

    def buffer_vector(self) -> np.ndarray:
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        return torch.cat([self.norm.running_mean, self.norm.running_var]).numpy()


def test_teacher_follows_the_reference(golden: Golden) -> None:
    data = golden("ema_update")
    channels = len(data["teacher_buffers_before"]) // 2
    student = Vector(data["student"].shape[1], channels)
    student.fill(data["teacher_before_init"], data["teacher_buffers_before"])
    teacher = Teacher(student, float(data["alpha"]))
    assert isinstance(teacher.network, Vector)
    assert len(data["iterations"]) > 3
    for k, step in enumerate(data["iterations"].tolist()):
        student.fill(data["student"][k], data["student_buffers_last"])
        teacher.update(student, step)
        parameters = nn.utils.parameters_to_vector(teacher.network.parameters()).numpy()
        assert_close(parameters, data["teacher"][k])
        np.testing.assert_array_equal(teacher.network.buffer_vector(), data["teacher_buffers"][k])
        if k > 0:
            assert ema_decay(step, float(data["alpha"])) == pytest.approx(data["decay_used"][k], rel=1e-6)
    np.testing.assert_array_equal(data["teacher_buffers"][-1], data["teacher_buffers_before"])


@pytest.mark.parametrize("case", range(9))
def test_block_mask(golden: Golden, case: int) -> None:
    data = golden("block_mask")
    assert int(data["n_cases"]) == 9
    height, width, block = data[f"c{case}_hw_block"].tolist()
    grid = torch.from_numpy(data[f"c{case}_grid"])
    assert mask_grid(len(grid), height, width, block, torch.Generator()).shape == grid.shape
    mask = block_mask(grid, float(data[f"c{case}_ratio"]), height, width)
    np.testing.assert_array_equal(mask.numpy(), data[f"c{case}_mask"])
    if f"c{case}_image" in data:
        masked = torch.from_numpy(data[f"c{case}_image"]) * mask
        np.testing.assert_array_equal(masked.numpy(), data[f"c{case}_masked_image"])


@pytest.mark.parametrize("case", range(3))
def test_pseudo_label(golden: Golden, case: int) -> None:
    data = golden("pseudo_label")
    assert int(data["n_cases"]) == 3
    logits, tau = torch.from_numpy(data[f"c{case}_logits"]), float(data[f"c{case}_tau"])
    top, bottom = data[f"c{case}_ignore_top_bottom"].tolist()
    valid = torch.from_numpy(data[f"c{case}_valid_mask"]) if f"c{case}_valid_mask" in data else None
    result = pseudo_label(logits, tau, top, bottom, valid)
    np.testing.assert_array_equal(result.label.numpy(), data[f"c{case}_label"])
    assert_close(result.fraction.item(), data[f"c{case}_fraction"])
    assert_close(result.weight.numpy(), data[f"c{case}_weight"])
    raw = pseudo_label(logits, tau)
    assert_close(raw.weight.numpy(), data[f"c{case}_weight_raw"])


def test_pseudo_label_without_threshold(golden: Golden) -> None:
    data = golden("pseudo_label")
    result = pseudo_label(torch.from_numpy(data["notau_logits"]), None)
    np.testing.assert_array_equal(result.label.numpy(), data["notau_label"])
    np.testing.assert_array_equal(result.weight.numpy(), data["notau_weight"])


def test_classmix(golden: Golden) -> None:
    data = {key: torch.from_numpy(value) for key, value in golden("classmix").items()}
    labels = data["source_label"].squeeze(1)
    drawn = draw_classes(labels, torch.Generator().manual_seed(0))
    candidates = set(data["batch_unique_classes"].tolist())
    for values in drawn:
        assert len(values) == len(set(values.tolist())) == int(data["n_chosen"])
        assert set(values.tolist()) <= candidates

    mask = class_mask(labels, list(data["chosen_classes"]))
    assert torch.equal(mask.long(), data["mix_mask"])
    weight = data["pseudo_weight"]
    assert torch.equal(mix(mask, data["source_image"], data["target_image"]), data["mixed_image"])
    assert torch.equal(mix(mask, labels, data["pseudo_label"]), data["mixed_label"].squeeze(1))
    assert torch.equal(mix(mask, torch.ones_like(weight), weight), data["mixed_weight"])


def test_classmix_counts(golden: Golden) -> None:
    data = golden("classmix_counts")
    for candidates, chosen in zip(data["n_candidates"].tolist(), data["n_chosen"].tolist(), strict=True):
        labels = torch.arange(candidates).view(1, 1, -1)
        assert len(draw_classes(labels, torch.Generator().manual_seed(0))[0]) == chosen


@pytest.mark.parametrize("case", range(3))
def test_cross_entropy(golden: Golden, case: int) -> None:
    data = golden("cross_entropy")
    assert int(data["n_cases"]) == 3
    logits = torch.from_numpy(data[f"c{case}_logits"]).requires_grad_()
    label = torch.from_numpy(data[f"c{case}_label"]).squeeze(1)
    plain = cross_entropy(logits, label)
    assert_close(plain.item(), data[f"c{case}_loss_unweighted"])
    weighted = cross_entropy(logits, label, torch.from_numpy(data[f"c{case}_weight"]))
    assert_close(weighted.item(), data[f"c{case}_loss_weighted"])
    weighted.backward()
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), data[f"c{case}_grad_weighted"], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("case", range(3))
def test_downscale_label(golden: Golden, case: int) -> None:
    data = golden("label_downscale")
    assert int(data["n_cases"]) == 3
    label = torch.from_numpy(data[f"c{case}_label"]).squeeze(1)
    factor, classes = data[f"c{case}_params"].tolist()
    small = downscale_label(label, factor, float(data[f"c{case}_min_ratio"]), classes)
    np.testing.assert_array_equal(small.numpy(), data[f"c{case}_out"].squeeze(1))


@pytest.mark.parametrize(("min_share", "name"), [(0.75, "edge_out_075"), (0.5, "edge_out_050")])
def test_downscale_label_at_the_edge(golden: Golden, min_share: float, name: str) -> None:
    data = golden("label_downscale")
    small = downscale_label(torch.from_numpy(data["edge_label"]).squeeze(1), 4, min_share)
    np.testing.assert_array_equal(small.numpy(), data[name].squeeze(1))


@pytest.mark.parametrize("case", range(3))
def test_feature_distance(golden: Golden, case: int) -> None:
    data = golden("feature_distance")
    assert int(data["n_cases"]) == 3
    assert data["classes"].tolist() == list(THINGS)
    student = torch.from_numpy(data[f"c{case}_student"]).requires_grad_()
    pretrained = torch.from_numpy(data[f"c{case}_imagenet"])
    label = torch.from_numpy(data[f"c{case}_label"]).squeeze(1)
    factor = label.shape[-1] // student.shape[-1]
    np.testing.assert_array_equal(downscale_label(label, factor), data[f"c{case}_label_small"].squeeze(1))
    loss = float(data["lam"]) * thing_distance(student, pretrained, label)
    loss.backward()
    # Nothing selected: the reference reports NaN, we 0; the gradient is 0 in both.
    assert_close(loss.item(), np.nan_to_num(data[f"c{case}_loss"]))
    assert student.grad is not None
    np.testing.assert_allclose(student.grad.numpy(), data[f"c{case}_grad"], rtol=1e-4, atol=1e-8)


def test_entropy(golden: Golden) -> None:
    data = golden("entropy_min")
    result = entropy(torch.from_numpy(data["probs"]))
    assert_close(result.numpy(), data["entropy_map"])
    assert_close(result.mean().item(), data["loss"])
