"""The segmenter: the inference rule, the picture's own size back, and models that break the contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.edge.errors import BadModel, UserError
from pipeline.edge.images import enlarge_nearest, fit_size, resize_image
from pipeline.edge.runtime import Segmenter, find_models

SIZES = [(64, 128), (100, 70), (33, 500), (2, 2), (500, 33), (301, 400)]


def random_picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_result_is_the_rule_at_the_pictures_own_size(tiny_model: Path, size: tuple[int, int]) -> None:
    picture = random_picture(*size)
    result = Segmenter(tiny_model).segment(picture)
    fitted = fit_size(*size, (64, 128))
    small = resize_image(picture, fitted)
    np.testing.assert_array_equal(result.classes, enlarge_nearest(small.argmax(2).astype(np.uint8), size))
    assert result.classes.dtype == np.uint8
    assert result.confidence.shape == (-(-fitted[0] // 4), -(-fitted[1] // 4))
    assert result.confidence.dtype == np.float32
    whole = fitted[0] // 4, fitted[1] // 4
    blocks = small.max(2)[: whole[0] * 4, : whole[1] * 4].reshape(whole[0], 4, whole[1], 4).mean((1, 3))
    np.testing.assert_allclose(result.confidence[: whole[0], : whole[1]] * 255, blocks, atol=0.51)
    assert set(result.milliseconds) == {"prepare", "network", "finish"}


def test_pictures_of_any_shape_reach_the_network_in_few_sizes(tiny_model: Path) -> None:
    """A GPU's first run at a new size is slow: fitting and padding leave 2 * long side / stride of them."""
    segmenter = Segmenter(tiny_model)
    pictures = [(400, side) for side in range(1, 4000, 7)] + [(side, 400) for side in range(1, 4000, 7)]
    sizes = {segmenter.prepare(np.zeros((*size, 3), np.uint8)).pixels.shape[1:3] for size in pictures}
    assert 2 < len(sizes) <= 2 * 128 / segmenter.manifest.stride


def test_one_segmenter_serves_several_threads(tiny_model: Path) -> None:
    segmenter = Segmenter(tiny_model, threads=1)
    pictures = [random_picture(*size) for size in SIZES]
    alone = [segmenter.segment(p).classes for p in pictures]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda p: segmenter.segment(p).classes, pictures))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_manifest_inside_is_read(tiny_model: Path, manifest_dict: dict[str, Any]) -> None:
    found = Segmenter(tiny_model).manifest.raw
    assert found | {"hashes": None} == manifest_dict | {"hashes": None}


def test_warm_up_runs_the_training_size_and_both_ends_of_what_fits(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter(tiny_model)
    seen: list[tuple[int, ...]] = []
    run = segmenter.run
    monkeypatch.setattr(segmenter, "run", lambda p: seen.append(p.pixels.shape[1:3]) or run(p))
    segmenter.warm_up()
    assert seen == [(64, 128), (32, 128), (128, 32)]
    for size in SIZES:
        segmenter.segment(random_picture(*size))
    heights, widths = zip(*seen, strict=True)
    assert (max(heights), max(widths), min(heights), min(widths)) == (128, 128, 32, 32)


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)]
)
def test_what_is_no_rgb_picture_is_a_programmers_error(tiny_model: Path, picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected a uint8 \(H, W, 3\) picture"):
        Segmenter(tiny_model).segment(picture)


def test_bad_model_files_are_refused_in_a_sentence(tmp_path: Path, tiny_model: Path) -> None:
    contents = {"empty": b"", "text": b"not a model", "cut": tiny_model.read_bytes()[:300]}
    for name, content in contents.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(BadModel, match="is no sound ONNX file") as caught:
            Segmenter(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadModel, match=r"No such model: .*nowhere\.onnx"):
        Segmenter(tmp_path / "nowhere.onnx")


def test_models_that_break_the_contract_are_refused(
    make_model: Callable[..., Path], manifest_dict: dict[str, Any]
) -> None:
    with pytest.raises(BadModel, match=r"outputs are labels .*not those of a mic-adapt model"):
        Segmenter(make_model(classes_name="labels"))
    with pytest.raises(BadModel, match="holds no manifest"):
        Segmenter(make_model(manifest=None))
    with pytest.raises(BadModel, match="not JSON"):
        Segmenter(make_model(manifest="{"))
    manifest_dict["input"]["stride"] = 0
    path = make_model(manifest=json.dumps(manifest_dict))
    with pytest.raises(BadModel, match=r"model\.onnx: manifest key input\.stride is 0"):
        Segmenter(path)


def test_an_unknown_class_in_the_output_is_refused(make_model: Callable[..., Path]) -> None:
    segmenter = Segmenter(make_model(first_class=17))
    with pytest.raises(BadModel, match="answered class 19 of 19"):
        segmenter.segment(random_picture(64, 64))


def test_find_models_puts_the_baseline_first(tmp_path: Path) -> None:
    for name in ("mic.onnx", "source_only.onnx", "a.onnx", "mic.json", "b.v2.onnx"):
        (tmp_path / name).touch()
    assert list(find_models(tmp_path)) == ["source_only", "a", "b.v2", "mic"]
    assert find_models(tmp_path)["mic"] == tmp_path / "mic.onnx"
    with pytest.raises(UserError, match=r"No \.onnx model in the folder .*nowhere"):
        find_models(tmp_path / "nowhere")


def test_find_models_puts_variants_last(tmp_path: Path) -> None:
    for name in ("mic", "mic.int8", "source_only.fp16", "source_only", "source_only.fixed"):
        (tmp_path / f"{name}.onnx").touch()
    variants = ["source_only.fixed", "source_only.fp16", "mic.int8"]
    assert list(find_models(tmp_path)) == ["source_only", "mic", *variants]


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (64, 128), (300, 300)])
def test_a_fixed_size_is_what_every_picture_gets(
    make_model: Callable[..., Path], manifest_dict: dict[str, Any], size: tuple[int, int]
) -> None:
    manifest_dict["input"]["fixed_size"] = [64, 160]
    manifest_dict["input"]["training_size"] = [60, 140]
    segmenter = Segmenter(make_model(manifest=json.dumps(manifest_dict)))
    image = np.full((*size, 3), (10, 200, 30), np.uint8)
    prepared = segmenter.prepare(image)
    assert prepared.pixels.shape == (1, 64, 160, 3)
    height, width = prepared.fitted
    assert height in (60, 64) or width in (140, 160), "as large as fits, upright pictures too"
    assert (prepared.pixels[0, :height, :width] == (10, 200, 30)).all()
    assert (prepared.pixels[0, height:] == (124, 116, 104)).all()
    assert (prepared.pixels[0, :, width:] == (124, 116, 104)).all()
    assert (segmenter.segment(image).classes == 1).all()
