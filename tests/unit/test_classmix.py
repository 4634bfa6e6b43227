"""Class mixing beyond the golden vectors."""

from __future__ import annotations

import pytest
import torch

from pipeline.tasks.segmentation.classmix import class_mask, draw_classes, mix

pytestmark = pytest.mark.floats


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_candidates_come_from_the_whole_batch_ignore_included() -> None:
    labels = torch.tensor([[[3, 3]], [[7, 255]]])
    seen = set()
    for seed in range(30):
        for values in draw_classes(labels, generator(seed)):
            assert len(values) == 2
            seen |= set(values.tolist())
    assert seen == {3, 7, 255}


def test_images_draw_apart_and_a_seed_repeats() -> None:
    labels = torch.arange(19).view(1, 1, 19).repeat(2, 1, 1)
    first, second = draw_classes(labels, generator())
    assert set(first.tolist()) != set(second.tolist())
    again = draw_classes(labels, generator())
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])


def test_a_single_value_is_always_chosen() -> None:
    labels = torch.full((2, 3, 3), 255)
    assert [values.tolist() for values in draw_classes(labels, generator())] == [[255], [255]]


def test_a_chosen_class_that_an_image_lacks_pastes_nothing() -> None:
    labels = torch.tensor([[[0, 1]], [[2, 2]]])
    mask = class_mask(labels, [torch.tensor([2]), torch.tensor([2])])
    assert mask.shape == (2, 1, 1, 2)
    assert mask.flatten().tolist() == [False, False, True, True]


def test_mix_keeps_types_and_values() -> None:
    mask = torch.tensor([[[[1, 0]]]])
    pictures = mix(mask, torch.ones(1, 3, 1, 2), torch.full((1, 3, 1, 2), float("nan")))
    assert torch.equal(pictures[..., 0], torch.ones(1, 3, 1))
    assert bool(pictures[..., 1].isnan().all())
    labels = mix(mask, torch.tensor([[[255, 255]]]), torch.tensor([[[4, 5]]]))
    assert labels.dtype == torch.int64
    assert labels.tolist() == [[[255, 5]]]
