"""Batches are a function of the step alone; crops, flips and padding keep picture and label together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.augment import augment, source_augmentation, target_augmentation
from pipeline.data.index import Record
from pipeline.data.loaders import Batch, TrainingBatches, check_crop, curriculum_pool, shuffled
from pipeline.data.read_ahead import training_loader
from pipeline.edge.errors import UserError
from pipeline.params import Params
from pipeline.params.uda import Curriculum

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
            records[domain].append(
                Record(f"{stem}.png", label, name, "train", "clear", 40, 56, None, "", grey=image.mean())
            )
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
    loaded = list(training_loader(alone, params(workers=workers).train))
    assert len(loaded) == 9
    assert all(same(batch, alone[step]) for step, batch in enumerate(loaded))
    assert not same(loaded[0], loaded[1])


def test_a_resumed_loader_continues_where_it_stopped(domains: Domains) -> None:
    batches = TrainingBatches(*domains, params())
    whole = list(training_loader(batches, params().train))
    rest = list(training_loader(batches, params(workers=2).train, start_step=4))
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


def test_darken_changes_source_pictures_alone(domains: Domains) -> None:
    plain = TrainingBatches(*domains, params())
    dark = TrainingBatches(*domains, params(darken={"kind": "exposure", "share": 0.5, "stops": [2, 3]}))
    changed = []
    for step in range(9):
        a, b = plain[step], dark[step]
        assert all(torch.equal(a[k], b[k]) for k in ("source_label", "target_image", "target_valid"))
        assert a["source_files"] == b["source_files"]
        for before, after in zip(a["source_image"], b["source_image"], strict=True):
            changed.append(not torch.equal(before, after))
            assert not changed[-1] or after.float().mean() < 0.7 * before.float().mean()
    assert 0 < sum(changed) < 18


def test_a_curriculum_starts_with_the_brightest_and_ends_with_all(domains: Domains) -> None:
    config = Curriculum(start_share=0.3, steps=8)
    assert [curriculum_pool(config, 10, step) for step in (0, 4, 8, 100)] == [3, 7, 10, 10]
    assert curriculum_pool(None, 10, 0) == 10

    source, target = domains
    grey = {r.image: r.grey for r in target}
    batches = TrainingBatches(
        source, target, params(batch_size=6, uda={"curriculum": {"start_share": 0.3, "steps": 8}})
    )
    assert {grey[f] for f in batches[0]["target_files"]} <= set(sorted(grey.values())[-3:])
    drawn = [set(batches[step]["target_files"]) for step in range(8, 12)]
    assert set.union(*drawn) == set(grey)
    plain = TrainingBatches(source, target, params(batch_size=6))
    assert torch.equal(batches[0]["source_image"], plain[0]["source_image"])


def test_margins_of_the_whole_picture_follow_it_through_resize_flip_and_crop(domains: Domains) -> None:
    source, target = domains
    everywhere = params(crop=[40, 56], uda={"margins": [0.1, 0.25, 0.5, 0]})
    valid = TrainingBatches(source, target, everywhere)[0]["target_valid"]
    assert valid[:, 0, :4].max() == valid[:, 0, 30:].max() == 0
    columns = valid[:, 0, 4:30].mean(dim=1)
    assert all(torch.equal(row, columns[0]) or torch.equal(row, columns[0].flip(0)) for row in columns)
    assert columns.sum().item() == 2 * 28
    small = everywhere.model_copy(update={"data": everywhere.data.model_copy(update={"size": (20, 28)})})
    valid = TrainingBatches(source, target, small)[0]["target_valid"][0, 0]
    assert valid.sum() == (15 - 2) * 14
    moved = TrainingBatches(source, target, params(uda={"margins": [0.1, 0, 0, 0]}))
    sums = {float(moved[step]["target_valid"].sum()) for step in range(9)}
    assert len(sums) > 1  # a crop shows more or less of the margin
    plain = TrainingBatches(source, target, params())[0]
    assert torch.equal(moved[0]["target_image"], plain["target_image"])


def test_source_pictures_can_have_a_scale_of_their_own(domains: Domains) -> None:
    plain, twice = (
        TrainingBatches(*domains, params())[0],
        TrainingBatches(*domains, params(source_size=[80, 112]))[0],
    )
    label = twice["source_label"]  # every pixel of the noise is now 2 x 2
    assert (label[..., 1:] == label[..., :-1]).float().mean() > 0.5
    assert torch.equal(twice["target_image"], plain["target_image"])


def test_a_crop_larger_than_every_picture_is_refused(domains: Domains) -> None:
    _, target = domains
    check_crop((40, 56), (40, 56), "target", target)
    for crop in ((48, 32), (32, 64)):
        with pytest.raises(
            UserError, match=r"train\.crop .* larger than every target picture, 40x56 .*lower"
        ):
            check_crop(crop, (40, 56), "target", target)
    check_crop((64, 96), (80, 112), "target", target)


def test_rare_class_sampling_draws_the_rare_class_and_leaves_the_target(domains: Domains) -> None:
    source, target = domains
    counts = np.zeros((SOURCES, 19), int)
    counts[:, 0], counts[:, 11], counts[3, 18] = 2000, 100, 100
    rare = [replace(r, pixels=pixels) for r, pixels in zip(source, counts.tolist(), strict=True)]
    config = {"temperature": 0.01, "min_share": 0.01, "min_crop_share": 0.09}
    sampled = TrainingBatches(rare, target, params(rare_class_sampling=config))
    plain = TrainingBatches(source, target, params())
    assert sampled.rare is not None
    files = [f for step in range(9) for f in sampled[step]["source_files"]]
    assert files.count(source[3].image) > 9  # class 18 is in this picture alone
    for step in (0, 5):
        assert sampled[step]["target_files"] == plain[step]["target_files"]
        assert torch.equal(sampled[step]["target_image"], plain[step]["target_image"])
        assert same(sampled[step], TrainingBatches(rare, target, params(rare_class_sampling=config))[step])
    # The labels are noise of 11 classes: of plain crops about half show less than 9 % of the class drawn.
    for step in range(9):
        for i, label in enumerate(sampled[step]["source_label"]):
            chosen, _ = sampled.rare.draw(2 * step + i)
            assert (label == chosen).float().mean() > 0.09


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
