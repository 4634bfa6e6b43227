"""The finished .onnx files as a model repository of the Triton Inference Server.

`python -m pipeline.export --triton DIR` writes DIR/<name>/config.pbtxt and DIR/<name>/1/model.onnx for every method of
params.yaml and each of its variants that is there.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from pipeline.edge.checksum import embedded_manifest
from pipeline.edge.errors import UserError
from pipeline.edge.manifest import Manifest
from pipeline.edge.runtime import VARIANTS
from pipeline.params import Params
from pipeline.run.workspace import Workspace

MAX_BATCH = 8  # pictures of one size that the server may join into a run
FREE = -1
_TENSOR = re.compile(
    r'name:\s*"(?P<name>[^"]*)"\s*data_type:\s*(?P<dtype>\w+)\s*dims:\s*\[(?P<dims>[^\]]*)\]'
)


@dataclass(frozen=True)
class Tensor:
    """An input or output."""

    name: str
    dtype: str
    """As Triton calls it: TYPE_UINT8."""
    dims: tuple[int, ...]
    """With N; FREE where any size will do."""

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.dims)}"


@dataclass(frozen=True)
class Tensors:
    """What goes in and out."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def batched(self) -> bool:
        """Whether N is free in all of them, as Triton's batcher asks for."""
        return all(tensor.dims[:1] == (FREE,) for tensor in (*self.inputs, *self.outputs))


def write_repository(params: Params, workspace: Workspace, folder: Path) -> list[str]:
    """Write the repository; returns the names of its models. Other models in `folder` stay as they are.

    Raises:
        UserError: a method's .onnx file is missing, `folder` is a file, or a config differs from its graph.
    """
    files, gone = model_files(params, workspace)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--triton {folder} is not a folder and cannot become one ({error.strerror}): name another"
        ) from None
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        beside, replaced = Path(temporary) / "new", Path(temporary) / "old"
        replaced.mkdir()
        for name, path in files.items():
            (beside / name / "1").mkdir(parents=True)
            shutil.copyfile(path, beside / name / "1" / "model.onnx")
            text = config_text(name, path)
            check_config(text, path)
            (beside / name / "config.pbtxt").write_text(text, encoding="utf-8")
        for name in (*files, *gone):
            if (folder / name).exists():
                (folder / name).rename(replaced / name)
            if name in files:
                (beside / name).rename(folder / name)
    return list(files)


def model_files(params: Params, workspace: Workspace) -> tuple[dict[str, Path], list[str]]:
    """Name in the repository -> .onnx file of every method and variant, and the names of variants that are not there.

    Triton reads a dot in a name as <model>.<backend>, so mic.int8 is called mic_int8.
    """
    files, gone = {}, []
    for method in params.trained:
        path = workspace.onnx(method)
        if not path.exists():
            raise UserError(f"{path} does not exist: run `python -m pipeline.export --method {method}` first")
        files[method] = path
        for variant in VARIANTS:
            path, name = workspace.variant(method, variant), f"{method}_{variant}"
            if path.exists():
                files[name] = path
            else:
                gone.append(name)
    return files, gone


def config_text(name: str, path: Path) -> str:
    """The config.pbtxt of one .onnx file: its inputs and outputs, and from its manifest how to prepare pictures."""
    tensors = graph_tensors(path)
    manifest = Manifest.from_json(embedded_manifest(path) or "", str(path))
    lines = [f'name: "{name}"', 'platform: "onnxruntime_onnx"']
    if tensors.batched:
        lines += [
            f"max_batch_size: {MAX_BATCH}",
            "dynamic_batching { }  # joins requests with pictures of one size",
        ]
    else:
        lines += ["max_batch_size: 0  # the graph takes one picture"]
    skipped = int(tensors.batched)  # Triton puts N before dims
    for key, found in (("input", tensors.inputs), ("output", tensors.outputs)):
        inner = [
            f'  {{ name: "{t.name}" data_type: {t.dtype} dims: [ {", ".join(map(str, t.dims[skipped:]))} ] }}'
            for t in found
        ]
        lines += [f"{key} [", ",\n".join(inner), "]"]
    height, width = manifest.training_size
    lines += [
        "instance_group [ { count: 1 kind: KIND_AUTO } ]  # on a GPU where there is one, else on the CPU",
        f'parameters {{ key: "stride" value: {{ string_value: "{manifest.stride}" }} }}',
        f'parameters {{ key: "training_size" value: {{ string_value: "{height}x{width}" }} }}',
    ]
    return "\n".join(lines) + "\n"


def check_config(text: str, path: Path) -> None:
    """Hold a config.pbtxt against the graph of the .onnx file that it describes.

    Raises:
        UserError: an input or output is missing, too many, or of another type or shape; the first that is.
    """
    graph, config = graph_tensors(path), config_tensors(text)
    for kind, actual, claimed in (
        ("input", graph.inputs, config.inputs),
        ("output", graph.outputs, config.outputs),
    ):
        by_name = {tensor.name: tensor for tensor in claimed}
        for tensor in actual:
            found = by_name.pop(tensor.name, None)
            if found != tensor:
                raise UserError(
                    f"config.pbtxt of {path}: {kind} {tensor.name} is {found or 'missing'}, in the graph "
                    f"{tensor}: write the repository again with `python -m pipeline.export --triton`"
                )
        for name in by_name:
            raise UserError(
                f"config.pbtxt of {path}: {kind} {name} is not in the graph: write the repository again with "
                "`python -m pipeline.export --triton`"
            )


def graph_tensors(path: Path) -> Tensors:
    """The inputs and outputs of an .onnx file."""
    graph = onnx.load(path, load_external_data=False).graph
    return Tensors(tuple(map(_graph_tensor, graph.input)), tuple(map(_graph_tensor, graph.output)))


def _graph_tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    dtype = onnx.TensorProto.DataType.Name(kind.elem_type)  # the contract has uint8 alone, one name in both
    dims = tuple(d.dim_value if d.HasField("dim_value") else FREE for d in kind.shape.dim)
    return Tensor(value.name, f"TYPE_{dtype}", dims)


def config_tensors(text: str) -> Tensors:
    """The inputs and outputs of a config.pbtxt in the layout of `config_text`, with N where Triton batches."""
    batch = re.search(r"^max_batch_size:\s*([1-9]\d*)", text, re.M)
    leading = (FREE,) if batch else ()

    def listed(key: str) -> tuple[Tensor, ...]:
        section = re.search(rf"^{key} \[\n(.*?)^\]", text, re.M | re.S)
        return tuple(
            Tensor(t["name"], t["dtype"], (*leading, *map(int, t["dims"].split(","))))
            for t in _TENSOR.finditer(section[1] if section else "")
        )

    return Tensors(listed("input"), listed("output"))
