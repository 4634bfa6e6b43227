"""The drawn scenes: fixed by their seed, labelled and deep as a street is, lit as their condition says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from pipeline.data.scenes import CONDITIONS, Scene, draw_scene, write_scenes
from pipeline.data.street.canvas import Canvas
from pipeline.data.street.light import apply_fog, develop, expose
from pipeline.edge.classes import ID_OF
from pipeline.edge.errors import UserError

SIZE = (64, 128)


@dataclass(frozen=True)
class Config:
    seed: int = 3
    height: int = SIZE[0]
    width: int = SIZE[1]
    source_train: int = 1
    source_val: int = 1
    target_train: int = 3
    target_val: int = 2
    target_labels: bool = False


@cache
def drawn(index: int, domain: Literal["source", "target"], condition: str) -> Scene:
    return draw_scene(1, index, domain, condition, *SIZE)


def test_same_arguments_draw_the_same_scene_and_others_another() -> None:
    first = draw_scene(1, 0, "target", "night", *SIZE)
    again = draw_scene(1, 0, "target", "night", *SIZE)
    for name in ("image", "label", "depth"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    for other in (
        drawn(1, "target", "night"),
        draw_scene(2, 0, "target", "night", *SIZE),
        drawn(0, "source", "night"),
    ):
        assert (other.label != first.label).mean() > 0.05


@pytest.mark.parametrize("condition", CONDITIONS)
def test_arrays_have_the_promised_types_and_sizes(condition: str) -> None:
    scene = draw_scene(5, 2, "target", condition, 50, 90)
    assert (scene.image.shape, scene.image.dtype) == ((50, 90, 3), np.uint8)
    assert (scene.label.shape, scene.label.dtype) == ((50, 90), np.uint8)
    assert (scene.depth.shape, scene.depth.dtype) == ((50, 90), np.float32)
    assert scene.condition == condition
    assert scene.depth.min() > 0  # false for a NaN too


def test_unknown_condition_is_named() -> None:
    with pytest.raises(UserError, match=r"'dusk'.*clear, night, fog"):
        draw_scene(1, 0, "source", "dusk", *SIZE)


@pytest.mark.parametrize("domain", ["source", "target"])
def test_twenty_scenes_show_sixteen_classes_with_enough_pixels(domain: Literal["source", "target"]) -> None:
    counts = sum(np.bincount(drawn(i, domain, "fog").label.ravel(), minlength=256) for i in range(20))
    assert isinstance(counts, np.ndarray)
    seen = set(np.flatnonzero(counts).tolist())
    assert seen == set(range(19)) - {ID_OF["truck"], ID_OF["train"], ID_OF["motorcycle"]}
    shares = counts[sorted(seen)] / counts.sum()
    assert shares.min() > 0.001
    assert shares.max() < 0.55


def test_the_street_is_the_same_in_every_condition() -> None:
    clear, night, fog = (drawn(4, "target", c) for c in CONDITIONS)
    for scene in (night, fog):
        np.testing.assert_array_equal(scene.label, clear.label)
        np.testing.assert_array_equal(scene.depth, clear.depth)


@pytest.mark.parametrize("domain", ["source", "target"])
def test_depth_is_that_of_a_street(domain: Literal["source", "target"]) -> None:
    for i in range(6):
        scene = drawn(i, domain, "fog")
        assert np.isinf(scene.depth[scene.label == ID_OF["sky"]]).all()
        assert np.isfinite(scene.depth[scene.label != ID_OF["sky"]]).all()
        rows = [scene.depth[y][scene.label[y] == ID_OF["road"]] for y in range(SIZE[0])]
        medians = [float(np.median(row)) for row in rows if len(row) > 10]
        assert len(medians) > 15
        assert all(far > near for far, near in pairwise(medians))
        assert 1.5 < medians[-1] < 6  # metres, just ahead of the car


def test_depth_of_the_road_follows_the_pinhole_camera() -> None:
    canvas = Canvas(
        80, 160, focal=100.0, horizon=30.0, eye=np.array([0, 1.4, 0], np.float32), yaw=0.0, pitch=0.0
    )
    canvas.face(
        np.array([(-50, 0, 1), (50, 0, 1), (50, 0, 90), (-50, 0, 90)]), ID_OF["road"], (0.1, 0.1, 0.1)
    )
    rows = np.arange(45, 80)
    np.testing.assert_allclose(canvas.depth[45:, 80], 1.4 * 100 / (rows + 0.5 - 30), rtol=1e-4)


def test_nearer_face_hides_the_farther_whatever_the_order() -> None:
    wall = [(-5, -5), (5, -5), (5, 5), (-5, 5)]
    for order in ((4.0, 8.0), (8.0, 4.0)):
        canvas = Canvas(40, 40, focal=40.0, horizon=20.0, eye=np.zeros(3, np.float32), yaw=0.0, pitch=0.0)
        for z in order:
            canvas.face(np.array([(x, y, z) for x, y in wall]), int(z), (0.5, 0.5, 0.5))
        assert canvas.label[20, 20] == 4
        assert canvas.depth[20, 20] == pytest.approx(4.0, rel=1e-5)


def test_fog_is_koschmieders_law() -> None:
    rng = np.random.default_rng(0)
    image, depth = rng.random((5, 7, 3)).astype(np.float32), rng.uniform(1, 200, (5, 7)).astype(np.float32)
    depth[0, 0] = np.inf
    airlight, beta = np.array((0.7, 0.71, 0.72)), 2.996 / 60
    fogged = apply_fog(image, depth, beta, airlight)
    for y, x in ((0, 0), (2, 3), (4, 6)):
        t = float(np.exp(-beta * float(depth[y, x])))
        np.testing.assert_allclose(fogged[y, x], image[y, x] * t + airlight * (1 - t), rtol=1e-5)
    np.testing.assert_allclose(fogged[0, 0], airlight, rtol=1e-6)


def test_drawn_fog_hides_contrast_with_distance() -> None:
    """Two pictures of one street differ least from the airlight where it is far away."""
    near_spread, far_spread = [], []
    for i in range(6):
        scene = drawn(i, "target", "fog")
        grey = scene.image.mean(2)
        air = grey[np.isinf(scene.depth)]
        if air.size < 20:
            continue
        away = np.abs(grey - np.median(air))
        near_spread.append(away[scene.depth < 8].mean())
        far_spread.append(away[(scene.depth > 50) & np.isfinite(scene.depth)].mean())
    assert len(near_spread) >= 3
    assert np.mean(far_spread) < 0.5 * np.mean(near_spread)


def test_night_is_dark_yet_visible_and_its_sky_is_darkest() -> None:
    for i in range(6):
        night, day = drawn(i, "target", "night"), drawn(i, "target", "clear")
        assert 25 <= night.image.mean() <= 60 < day.image.mean()
    skies = [drawn(i, "target", "night") for i in range(6)]
    sky = np.concatenate([s.image[s.label == ID_OF["sky"]] for s in skies])
    road = np.concatenate([s.image[s.label == ID_OF["road"]] for s in skies])
    assert np.median(sky) < np.median(road)


def test_shot_noise_grows_as_the_square_root_of_light() -> None:
    rng = np.random.default_rng(0)
    linear = np.stack([np.full((200, 200, 3), v, np.float32) for v in (0.1, 0.4)])
    dim, bright = (develop(x, rng, electrons=2000, read=0.0).astype(float) for x in linear)
    spread = [float(((p / 255) ** 2.2).std()) for p in (dim, bright)]
    assert spread[1] / spread[0] == pytest.approx(2.0, rel=0.1)


def test_exposure_reaches_the_mean_it_is_asked_for() -> None:
    linear = np.random.default_rng(0).random((128, 128, 3)).astype(np.float32) * 0.01
    assert (np.clip(expose(linear, 0.3), 0, 1) ** (1 / 2.2)).mean() == pytest.approx(0.3, abs=0.02)


def _files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def first_draw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set drawn once with Config(); copied by the tests that change it."""
    root = tmp_path_factory.mktemp("drawn") / "scenes"
    write_scenes(root, Config())
    return root


@pytest.fixture
def root(first_draw: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first_draw, tmp_path / "scenes"))


def test_written_data_set_has_the_layout_of_the_contract(root: Path) -> None:
    lines = {p.stem: p.read_text().splitlines() for p in (root / "splits").iterdir()}
    assert lines["target_train"] == [
        f"target_train_000{i} {c}" for i, c in enumerate(("night", "fog", "night"))
    ]
    assert lines["target_val"] == ["target_val_0000 night", "target_val_0001 fog"]
    assert [line.split()[1] for line in lines["source_train"] + lines["source_val"]] == ["clear"] * 2
    names = {line.split()[0] for split in lines.values() for line in split}
    assert len(names) == 7
    assert {p.stem for p in (root / "images").iterdir()} == names
    assert {p.stem for p in (root / "labels").iterdir()} == {
        n for n in names if not n.startswith("target_train")
    }
    with (
        Image.open(root / "labels" / "target_val_0001.png") as label,
        Image.open(root / "images" / "target_val_0001.png") as image,
    ):
        assert (label.mode, image.mode) == ("L", "RGB")
        assert label.size == image.size == (SIZE[1], SIZE[0])
        assert set(np.unique(np.asarray(label)).tolist()) <= set(range(19))
    pictures = [content for name, content in _files(root).items() if name.startswith("images")]
    assert len(set(pictures)) == 7  # no scene twice, neither in train and val


def test_same_config_is_left_alone_and_another_replaces_the_whole_folder(root: Path, tmp_path: Path) -> None:
    before = _files(root)
    (root / "images" / "mark").write_text("still the same folder")
    write_scenes(root, Config())
    assert (root / "images" / "mark").exists()
    (tmp_path / "scenes.tmp" / "images").mkdir(parents=True)  # what a killed run leaves
    write_scenes(root, replace(Config(), target_train=1, seed=4))
    after = _files(root)
    assert not {"images/mark", "images/target_train_0001.png"} & set(after)
    assert after["images/source_train_0000.png"] != before["images/source_train_0000.png"]
    assert [p.name for p in tmp_path.iterdir()] == ["scenes"]


def test_an_upper_bound_gets_labels_of_the_same_pictures(root: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "labelled", replace(Config(), target_labels=True))
    plain, labelled = _files(root), _files(tmp_path / "labelled")
    added = {f"labels/target_train_000{i}.png" for i in range(3)}
    assert set(labelled) - set(plain) == added
    assert all(labelled[name] == content for name, content in plain.items() if name != "scenes.json")
    write_scenes(tmp_path / "labelled", Config())
    assert _files(tmp_path / "labelled") == plain, "the labels go where nobody asks for them any more"


def test_a_run_that_dies_midway_leaves_the_old_folder_whole(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(root)

    def die(drawn: Iterator[None], *_: object, **__: object) -> None:
        next(drawn)
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.data.scenes.track", die)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(root, replace(Config(), seed=9))
    assert _files(root) == before


def test_files_of_someone_else_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(UserError, match="did not draw"):
        write_scenes(tmp_path, Config())
    assert (tmp_path / "holiday.jpg").read_bytes() == b"precious"


def test_more_training_scenes_leave_the_validation_scenes_as_they_are(root: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "other", replace(Config(), source_train=2, target_train=0))
    for name in ("source_val_0000", "target_val_0001"):
        ours, others = (r / "images" / f"{name}.png" for r in (root, tmp_path / "other"))
        assert ours.read_bytes() == others.read_bytes()
