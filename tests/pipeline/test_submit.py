"""The archives for the test servers: names, sizes, ids; anything else is refused."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import HEIGHT, WIDTH
from miniatures import Block, build
from PIL import Image

from pipeline import submit
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import UserError
from pipeline.evaluation.inference import predict
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.weights import save_weights
from pipeline.params import Params
from pipeline.run.workspace import Workspace
from pipeline.submit import Benchmark, check_archive, run

NETWORK = {
    "architecture": "fpn",
    "encoder": "tu-mobilenetv4_conv_small_050",
    "decoder": {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32},
}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Servers that expect the few small pictures of the miniatures, and weights of the method mic."""
    monkeypatch.chdir(tmp_path)
    small = {"acdc": 4, "dark_zurich": 2}
    for name, count in small.items():
        folders = submit.BENCHMARKS[name].folders
        monkeypatch.setitem(submit.BENCHMARKS, name, Benchmark(count, (HEIGHT, WIDTH), folders))
    torch.manual_seed(0)
    save_weights(build_segmenter(params_for([]).network), Workspace().weights("mic"))
    return Workspace()


def params_for(targets: list[Block]) -> Params:
    source = {"format": "cityscapes", "root": "city"}
    return Params.model_validate(
        {
            "data": {"source": source, "target": targets or source, "size": [HEIGHT, WIDTH]},
            "network": NETWORK,
            "train": {"steps": 1, "batch_size": 1, "crop": [32, 32], "optimiser": {"lr": 1.0}},
        }
    )


def test_published_sizes_of_the_test_splits() -> None:
    assert {n: (b.pictures, b.size) for n, b in submit.BENCHMARKS.items()} == {
        "acdc": (2000, (1080, 1920)),
        "dark_zurich": (151, (1080, 1920)),
    }


def test_archives_of_both_benchmarks(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    acdc = build("acdc", Path("acdc"), zipped=True) | {"conditions": ["night"]}  # all four are submitted
    params = params_for([acdc, build("dark_zurich", Path("zurich"))])
    paths = run(params, workspace, "mic", "cpu")
    assert [p.as_posix() for p in paths] == ["submission/mic_acdc.zip", "submission/mic_dark_zurich.zip"]
    printed = capsys.readouterr().out
    assert all(hashlib.sha256(p.read_bytes()).hexdigest() in printed for p in paths)
    assert sorted(p.name for p in Path("submission").iterdir()) == sorted(p.name for p in paths)

    with zipfile.ZipFile(paths[0]) as archive:
        assert archive.namelist() == [f"labelTrainIds/GOPR0{i}4_frame_000040_rgb_anon.png" for i in range(4)]
    with zipfile.ZipFile(paths[1]) as archive:
        names = [f"GOPR0364_frame_00000{i}_rgb_anon.png" for i in range(2)]
        folders = ("labelTrainIds", "labelTrainIds_invalid", "confidence")
        assert sorted(archive.namelist()) == sorted(f"{f}/{n}" for f in folders for n in names)
        torch.manual_seed(0)
        network = build_segmenter(params.network).eval()
        image = read_picture(f"zurich/rgb_anon/test/night/GOPR0364/{names[0]}")
        prediction = predict(network, image, size=params.data.size)
        stored = {f: np.array(Image.open(io.BytesIO(archive.read(f"{f}/{names[0]}")))) for f in folders}
        np.testing.assert_array_equal(stored["labelTrainIds"], prediction.classes)
        np.testing.assert_array_equal(stored["labelTrainIds_invalid"], prediction.classes)
        assert stored["confidence"].dtype == np.uint16
        assert stored["confidence"].max() / 65535 == pytest.approx(prediction.confidence.max(), abs=1e-3)


def test_equal_predictions_give_an_equal_archive(workspace: Workspace) -> None:
    params = params_for([build("dark_zurich", Path("zurich"))])
    first = run(params, workspace, "mic", "cpu")[0].read_bytes()
    assert run(params, workspace, "mic", "cpu")[0].read_bytes() == first


def test_an_incomplete_test_split_is_refused(workspace: Workspace) -> None:
    params = params_for([build("dark_zurich", Path("zurich"))])
    path = next(Path("zurich/rgb_anon/test").rglob("*_rgb_anon.png"))
    Image.open(path).resize((32, 32)).save(path)
    with pytest.raises(UserError, match=r"is 32x32 pixels, but the server expects 64x48"):
        run(params, workspace, "mic", "cpu")
    path.unlink()
    with pytest.raises(UserError, match=r"zurich has 1 pictures of the test split.*expects 2: unpack"):
        run(params, workspace, "mic", "cpu")
    shutil.rmtree("zurich/rgb_anon/test")
    with pytest.raises(UserError, match=r"put .*Dark_Zurich_test_anon_withoutGt\.zip there"):
        run(params, workspace, "mic", "cpu")
    assert not Path("submission/mic_dark_zurich.zip").exists()


def test_nothing_to_submit_and_no_weights(workspace: Workspace) -> None:
    with pytest.raises(UserError, match=r"neither format acdc nor dark_zurich"):
        run(params_for([]), workspace, "mic", "cpu")
    with pytest.raises(UserError, match=r"run `python -m pipeline\.train --method self_training` first"):
        run(params_for([build("dark_zurich", Path("zurich"))]), workspace, "self_training", "cpu")


@pytest.mark.parametrize(
    ("name", "pixels", "expected"),
    [
        ("labelTrainIds/b.png", np.zeros((4, 6), np.uint8), "as expected"),
        ("labelTrainIds/a.png", np.zeros((4, 5), np.uint8), "5x4 pixels"),
        ("labelTrainIds/a.png", np.full((4, 6), 19, np.uint8), "beyond the 19 train ids"),
        ("labelTrainIds/a.png", np.zeros((4, 6, 3), np.uint8), "single channel"),
        ("labelTrainIds/a.png", np.full((4, 6), 18, np.uint8), None),
    ],
)
def test_what_the_check_refuses(tmp_path: Path, name: str, pixels: np.ndarray, expected: str | None) -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, stream.getvalue())
    benchmark = Benchmark(1, (4, 6), ("labelTrainIds",))
    if expected is None:
        check_archive(path, benchmark, ["a.png"])
        return
    with pytest.raises(UserError, match=expected):
        check_archive(path, benchmark, ["a.png"])
