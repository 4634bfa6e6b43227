"""Batches are a function of the step alone; crops, flips and padding keep picture and label together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.augment import augment, source_augmentation, target_augmentation
from pipeline.data.index import Record
from pipeline.data.loaders import Batch, TrainingBatches, shuffled, training_loader
from pipeline.params import Params

SOURCES, TARGETS = 5, 7
Domains = tuple[list[Record], list[Record]]


def params(**train: Any) -> Params:
    """A params file for 40 x 56 pictures; `train` overrides its block."""
    data = {"format": "camvid", "root": ".", "train": "a"}
    block = {"steps": 9, "batch_size": 2, "crop": [32, 32], "workers": 0, "optimiser": {"lr": 1.0}} | train
    return Params.model_validate(
        {
            "data": {"source": data, "target": data, "size": [40, 56]},
            "network": {"architecture": "fpn", "encoder": "none"},
            "train": block,
        }
    )


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Domains:
    """Pictures whose red channel is 20 times the id of the label, so that crops can be held against it."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    records: Domains = ([], [])
    for domain, count in ((0, SOURCES), (1, TARGETS)):
        for i in range(count):
            ids = rng.integers(0, 11, (40, 56), np.uint8)
            image = np.stack([ids * 20, np.full_like(ids, 10 * i), np.full_like(ids, 100 * domain)], axis=2)
            stem = folder / f"{domain}_{i}"
            Image.fromarray(image).save(f"{stem}.png")
            Image.fromarray(ids).save(f"{stem}_label.png")
            name, label = ("target", None) if domain else ("source", f"{stem}_label.png")
            records[domain].append(Record(f"{stem}.png", label, name, "train", "clear", 40, 56, None, ""))
    return records


def same(a: Batch, b: Batch) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a
    )


def test_shapes_and_types(domains: Domains) -> None:
    batch = TrainingBatches(*domains, params())[0]
    assert {k: (v.dtype, tuple(v.shape)) for k, v in batch.items() if isinstance(v, torch.Tensor)} == {
        "source_image": (torch.uint8, (2, 3, 32, 32)),
        "source_label": (torch.int64, (2, 32, 32)),
        "target_image": (torch.uint8, (2, 3, 32, 32)),
        "target_valid": (torch.float32, (2, 1, 32, 32)),
    }
    assert all(Path(f).name.startswith("0_") for f in batch["source_files"])
    assert all(Path(f).name.startswith("1_") for f in batch["target_files"])
    assert batch["target_valid"].min() == 1


def test_label_follows_its_picture_through_flip_and_crop(domains: Domains) -> None:
    # CamVid ids 0..10 -> train ids; the red channel holds 20 times the CamVid id
    train_ids = torch.tensor([10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 18])
    batches = TrainingBatches(*domains, params())
    for step in range(6):
        batch = batches[step]
        ids = (batch["source_image"][:, 0] // 20).long()
        assert torch.equal(train_ids[ids], batch["source_label"])


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_count_does_not_change_batches(domains: Domains, workers: int) -> None:
    # albumentations 2.0.8 repeats its stream in every worker (albumentations #2473)
    alone = TrainingBatches(*domains, params())
    loaded = list(training_loader(*domains, params(workers=workers)))
    assert len(loaded) == 9
    assert all(same(batch, alone[step]) for step, batch in enumerate(loaded))
    assert not same(loaded[0], loaded[1])


def test_a_resumed_loader_continues_where_it_stopped(domains: Domains) -> None:
    whole = list(training_loader(*domains, params()))
    rest = list(training_loader(*domains, params(workers=2), start_step=4))
    assert len(rest) == 5
    assert all(same(a, b) for a, b in zip(whole[4:], rest, strict=True))


def test_two_ranks_see_what_one_rank_of_twice_the_batch_sees(domains: Domains) -> None:
    one = TrainingBatches(*domains, params(batch_size=4))
    ranks = [TrainingBatches(*domains, params(batch_size=2), rank, 2) for rank in (0, 1)]
    for step in (0, 3):
        halves = [rank[step] for rank in ranks]
        for key in ("source_image", "source_label", "target_image", "target_valid"):
            assert torch.equal(one[step][key], torch.cat([half[key] for half in halves]))


def test_the_seed_changes_order_and_crops(domains: Domains) -> None:
    first = params()
    second = first.model_copy(update={"seed": 1})
    assert not same(TrainingBatches(*domains, first)[0], TrainingBatches(*domains, second)[0])


def test_every_picture_comes_once_an_epoch() -> None:
    order = [shuffled(0, 1, 10, place) for place in range(30)]
    epochs = [order[0:10], order[10:20], order[20:30]]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [shuffled(0, 2, 10, place) for place in range(10)] != epochs[0]


def test_small_pictures_are_padded_at_the_bottom_and_right(domains: Domains) -> None:
    batch = TrainingBatches(*domains, params(crop=[64, 96]))[0]
    valid = batch["target_valid"][0, 0]
    assert valid[:40, :56].min() == 1
    assert valid[40:].max() == 0
    assert valid[:, 56:].max() == 0
    assert batch["target_image"][0, :, 50, 80].tolist() == [124, 116, 104]
    assert batch["source_label"][0, 40:].unique().tolist() == [255]
    assert batch["source_label"][0, :, 56:].unique().tolist() == [255]


def test_pictures_are_fitted_before_the_crop(domains: Domains) -> None:
    p = params(crop=[64, 96])
    half = p.model_copy(update={"data": p.data.model_copy(update={"size": (20, 28)})})
    valid = TrainingBatches(*domains, half)[0]["target_valid"][0, 0]
    assert valid.sum() == 20 * 28


def test_flip_and_crop_position_are_independent() -> None:
    columns = np.broadcast_to(np.arange(100, dtype=np.uint8), (40, 100))
    image = np.repeat(columns[..., None], 3, axis=2)
    pipeline = target_augmentation((32, 32))
    flipped, place = [], []
    for seed in range(400):
        crop, _ = augment(pipeline, image, np.ones((40, 100), np.uint8), seed)
        first, last = int(crop[0, 0, 0]), int(crop[0, -1, 0])
        flipped.append(first > last)
        place.append(99 - first if first > last else first)
    assert 0.4 < np.mean(flipped) < 0.6
    assert abs(np.corrcoef(flipped, place)[0, 1]) < 0.15
    assert min(place) == 0
    assert max(place) == 68


def test_source_crops_avoid_a_single_class_and_target_crops_do_not() -> None:
    label = np.zeros((64, 256), np.uint8)
    label[:, :48] = 1  # most crops show class 0 alone
    image = np.zeros((64, 256, 3), np.uint8)

    def largest(pipeline: Any, seed: int) -> float:
        counts = np.bincount(augment(pipeline, image, label, seed)[1].ravel())
        return counts.max() / counts.sum()

    source = [largest(source_augmentation((64, 64)), seed) < 0.75 for seed in range(40)]
    target = [largest(target_augmentation((64, 64)), seed) < 0.75 for seed in range(40)]
    assert np.mean(source) > 0.7
    assert np.mean(target) < 0.4
