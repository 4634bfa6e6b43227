"""The Triton model repository: its layout, configs that say what the graphs say, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
import yaml

from pipeline import export
from pipeline.edge.errors import UserError
from pipeline.onnx.triton import FREE, Tensor, check_config, config_tensors, config_text
from pipeline.onnx.variants.fixed_size import to_fixed_size
from pipeline.run.stage import main_guard

ROOT = Path(__file__).resolve().parents[2]

FREE_SIZE = """\
name: "mic"
platform: "onnxruntime_onnx"
max_batch_size: 8
dynamic_batching { }  # joins requests with pictures of one size
input [
  { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }
]
output [
  { name: "classes" data_type: TYPE_UINT8 dims: [ -1, -1 ] },
  { name: "confidence" data_type: TYPE_UINT8 dims: [ -1, -1 ] }
]
instance_group [ { count: 1 kind: KIND_AUTO } ]  # on a GPU where there is one, else on the CPU
parameters { key: "stride" value: { string_value: "32" } }
parameters { key: "training_size" value: { string_value: "360x640" } }
"""


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: params.yaml of source_only and mic, and their files, mic's with a fixed-size variant."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"methods": ["source_only", "mic"]}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    shutil.copytree(ROOT / "models" / "night", "models")
    onnx.save(to_fixed_size(onnx.load("models/mic.onnx"), (384, 640)), "models/mic.fixed.onnx")
    return tmp_path


def written(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main_guard(lambda: export.main(arguments))
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_every_method_and_variant_that_is_there_is_served(finished: Path) -> None:
    assert run("--triton", "serve/models") == 0
    repository = written(finished / "serve" / "models")
    names = ("source_only", "mic", "mic_fixed")
    assert sorted(repository) == sorted(f"{n}/{f}" for n in names for f in ("1/model.onnx", "config.pbtxt"))
    for name in names:
        file = finished / "models" / f"{name.replace('_fixed', '.fixed')}.onnx"
        assert repository[f"{name}/1/model.onnx"] == file.read_bytes()
    assert repository["mic/config.pbtxt"].decode() == FREE_SIZE


def test_a_graph_of_one_size_takes_one_picture(finished: Path) -> None:
    path = finished / "models" / "mic.fixed.onnx"
    text = config_text("mic_fixed", path)
    check_config(text, path)
    assert "max_batch_size: 0" in text
    assert "dynamic_batching" not in text
    tensors = config_tensors(text)
    assert [t.dims for t in tensors.inputs] == [(1, 384, 640, 3)]
    assert [t.dims for t in tensors.outputs] == [(1, 384, 640), (1, 96, 160)]


def test_where_triton_batches_the_first_dimension_is_its_own() -> None:
    tensors = config_tensors(FREE_SIZE)
    assert tensors.inputs == (Tensor("image", "TYPE_UINT8", (FREE, FREE, FREE, 3)),)
    assert [t.dims for t in tensors.outputs] == [(FREE, FREE, FREE)] * 2
    assert tensors.batched


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ('image" data_type: TYPE_UINT8', 'image" data_type: TYPE_FP32', "input image is TYPE_FP32"),
        ('"image"', '"picture"', "input image is missing"),
        ('"classes"', '"labels"', "output classes is missing"),
        ("[ -1, -1, 3 ]", "[ 3, -1, -1 ]", r"image is TYPE_UINT8 \[-1, 3, -1, -1\], in the graph .*-1, 3\]"),
        ("[ -1, -1, 3 ]", "[ -1, -1, -1, 3 ]", "input image is"),
        ("[ -1, -1 ]", "[ 384, 640 ]", "output classes is"),
        ("max_batch_size: 8", "max_batch_size: 0", r"image is TYPE_UINT8 \[-1, -1, 3\]"),
        (
            "output [\n",
            'output [\n  { name: "logits" data_type: TYPE_FP32 dims: [ 19, -1, -1 ] },\n',
            "output logits is not in the graph",
        ),
    ],
)
def test_a_config_that_differs_from_its_graph_is_refused(right: str, wrong: str, told: str) -> None:
    path = ROOT / "models" / "night" / "mic.onnx"
    check_config(FREE_SIZE, path)
    assert right in FREE_SIZE
    with pytest.raises(UserError, match=told) as caught:
        check_config(FREE_SIZE.replace(right, wrong), path)
    assert str(caught.value).startswith(f"config.pbtxt of {path}: ")
    assert "pipeline.export --triton" in str(caught.value)


def test_a_second_run_replaces_its_own_models_and_no_others(finished: Path) -> None:
    run("--triton", "serve")
    first = written(finished / "serve")
    other = finished / "serve" / "detector" / "config.pbtxt"
    other.parent.mkdir()
    other.write_text('name: "detector"')
    (finished / "serve" / "mic" / "config.pbtxt").write_text("edited")
    (finished / "models" / "mic.fixed.onnx").unlink()
    assert run("--triton", "serve") == 0
    kept = {name: content for name, content in first.items() if not name.startswith("mic_fixed/")}
    assert written(finished / "serve") == kept | {"detector/config.pbtxt": b'name: "detector"'}


def test_nothing_changes_where_a_file_is_no_sound_model(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--triton", "serve")
    first = written(finished / "serve")
    model = onnx.load("models/mic.onnx")
    del model.metadata_props[:]
    onnx.save(model, "models/mic.onnx")
    assert run("--triton", "serve") == 3
    assert "manifest" in capsys.readouterr().err
    assert written(finished / "serve") == first


def test_a_missing_file_names_the_command_that_makes_it(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "models" / "mic.onnx").unlink()
    assert run("--triton", "serve") == 2
    told = "models/mic.onnx does not exist: run `python -m pipeline.export --method mic` first"
    assert capsys.readouterr().err == f"error: {told}\n"
    assert not (finished / "serve").exists()


@pytest.mark.parametrize("folder", ["params.yaml", "params.yaml/serve"])
def test_a_file_is_no_folder(finished: Path, capsys: pytest.CaptureFixture[str], folder: str) -> None:
    assert run("--triton", folder) == 2
    assert f"error: --triton {folder} is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("--method", "mic", "--triton", "serve")])
def test_either_a_method_or_a_repository(finished: Path, arguments: tuple[str, ...]) -> None:
    assert run(*arguments) == 2
