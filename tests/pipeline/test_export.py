"""Export: the file honours the contract, is within rounding of torch, and is not kept where it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from graph_rules import broken_rules
from timm.layers.pos_embed_sincos import RotaryEmbeddingDinoV3
from tiny import write_project

from pipeline import evaluate, export, prepare, train
from pipeline.data.index import read_index
from pipeline.edge.checksum import graph_sha256
from pipeline.edge.errors import UserError
from pipeline.edge.images import read_image
from pipeline.edge.manifest import METADATA_KEY
from pipeline.edge.runtime import Segmenter
from pipeline.edge.verify import verify
from pipeline.evaluation.inference import predict
from pipeline.networks.edge_graph import EdgeGraph
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.weights import load_weights
from pipeline.onnx.gate import verdicts
from pipeline.onnx.graph import LOGITS, symbolic_rotary_embedding
from pipeline.params import Params, load_params
from pipeline.run.workspace import Workspace


@pytest.fixture
def trained(project: Path) -> Workspace:
    """source_only trained for a few steps and evaluated."""
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    train.run(params, workspace, "source_only")
    evaluate.run(params, workspace, "source_only")
    return workspace


@pytest.fixture(scope="module")
def workspace_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project folder of `trained_once`."""
    root = tmp_path_factory.mktemp("trained")
    write_project(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        params, workspace = load_params(), Workspace()
        prepare.run(params, workspace)
        train.run(params, workspace, "source_only")
        evaluate.run(params, workspace, "source_only")
    return root


@pytest.fixture
def trained_once(workspace_once: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """`trained`, shared by tests that leave no file."""
    monkeypatch.chdir(workspace_once)
    return Workspace()


@pytest.mark.floats
def test_exported_file_honours_the_contract(trained: Workspace) -> None:
    params = load_params()
    manifest = export.run(params, trained, "source_only")
    path = trained.onnx("source_only")
    assert broken_rules(path) == []

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape[3]) == ("image", "tensor(uint8)", 3)
    assert [(o.name, o.type) for o in session.get_outputs()] == [
        ("classes", "tensor(uint8)"),
        ("confidence", "tensor(uint8)"),
    ]
    for n, h, w in ((1, 32, 32), (3, 64, 160), (2, 128, 96)):
        classes, confidence = session.run(None, {"image": np.full((n, h, w, 3), 90, np.uint8)})
        assert np.asarray(classes).shape == (n, h, w)
        assert np.asarray(confidence).shape == (n, h // 4, w // 4)
        assert np.asarray(classes).max() < 19

    beside = trained.manifest("source_only").read_text()
    inside = session.get_modelmeta().custom_metadata_map[METADATA_KEY]
    assert beside == inside == manifest.to_json()
    assert json.loads(beside)["hashes"]["onnx"] == graph_sha256(path)
    assert [(check.name, check.holds) for check in verify(path) if not check.holds] == []
    assert manifest.trained_classes == (0, 2, 10)
    assert manifest.source_format == "folders"
    assert manifest.conditions == ("night",)
    assert manifest.parity is not None
    assert 0 < manifest.parity["logit_error"] <= manifest.parity["logit_bound"] < 1e-2
    assert manifest.parity["ties_swapped"] <= manifest.parity["ties"] < manifest.parity["pixels"] / 100
    assert {tuple(s[1:]) for s in manifest.parity["shapes"]} == {(64, 96), (32, 64), (96, 160)}
    assert {s[0] for s in manifest.parity["shapes"]} == {1, 2}
    assert not list(path.parent.glob(".*")), "nothing half-written stays"


@pytest.mark.floats
def test_edge_runtime_gives_the_classes_of_the_torch_model(trained: Workspace) -> None:
    params = load_params()
    export.run(params, trained, "source_only")
    network = build_segmenter(params.network, pretrained=False).eval()
    load_weights(network, trained.weights("source_only"))
    segmenter = Segmenter(trained.onnx("source_only"))
    for path in sorted(Path("data/tiny/target/val/images").glob("*.png")):
        image = read_image(path)
        expected = predict(network, image, size=params.data.size)
        found = segmenter.segment(image)
        assert (
            expected.classes == found.classes
        ).mean() >= 0.99  # the gate tells ties apart; here they are let go
        assert np.abs(expected.confidence - found.confidence).max() <= 1.5 / 255


def last_resize(model: onnx.ModelProto) -> onnx.NodeProto:
    """The Resize that gives the full-size logits."""
    return next(n for n in model.graph.node if n.op_type == "Resize" and n.output[0] == LOGITS)


def set_resize(model: onnx.ModelProto, **attributes: str) -> None:
    node = last_resize(model)
    kept = [a for a in node.attribute if a.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(onnx.helper.make_attribute(k, v) for k, v in attributes.items())])


def add_to_logits(model: onnx.ModelProto, values: np.ndarray) -> None:
    """Add `values`, (19,), to the network's logits, ahead of both resizes."""
    source = last_resize(model).input[0]
    term = onnx.numpy_helper.from_array(values.astype(np.float32).reshape(1, 19, 1, 1), "planted")
    model.graph.initializer.append(term)
    at = next(i for i, node in enumerate(model.graph.node) if source in node.output)
    for node in model.graph.node:
        node.input[:] = ["off" if name == source else name for name in node.input]
    model.graph.node.insert(at + 1, onnx.helper.make_node("Add", [source, "planted"], ["off"]))


def round_weights(model: onnx.ModelProto, type_: torch.dtype) -> None:
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            values = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()).to(type_).float().numpy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def swap_output(model: onnx.ModelProto, name: str, operation: str, constant: float) -> None:
    """Apply `operation` with a constant to what is cast to the output `name`: the logits stay right."""
    last = next(node for node in model.graph.node if name in node.output)
    term = onnx.numpy_helper.from_array(np.array(constant, np.float32), "planted")
    model.graph.initializer.append(term)
    nodes = [
        onnx.helper.make_node("Cast", [last.input[0]], ["real"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node(operation, ["real", "planted"], ["off"]),
    ]
    at = list(model.graph.node).index(last)
    last.input[0] = "off"
    for node in reversed(nodes):
        model.graph.node.insert(at, node)


ONE_CLASS = np.eye(19)[3]
PLANTED: dict[str, tuple[Callable[[onnx.ModelProto], None], str]] = {
    "half a pixel": (
        lambda m: set_resize(m, coordinate_transformation_mode="asymmetric"),
        "its logits differ",
    ),
    "aligned corners": (
        lambda m: set_resize(m, coordinate_transformation_mode="align_corners"),
        "its logits differ",
    ),
    "nearest neighbour": (lambda m: set_resize(m, mode="nearest"), "its logits differ"),
    "cubic": (lambda m: set_resize(m, mode="cubic"), "its logits differ"),
    "0.01 on one class": (lambda m: add_to_logits(m, 1e-2 * ONE_CLASS), "its logits differ"),
    "0.01 off one class": (lambda m: add_to_logits(m, -1e-2 * ONE_CLASS), "its logits differ"),
    "0.01 on all classes": (lambda m: add_to_logits(m, np.full(19, 1e-2)), "its logits differ"),
    "no number": (lambda m: add_to_logits(m, np.nan * ONE_CLASS), "its logits differ by nan"),
    "bfloat16 weights": (lambda m: round_weights(m, torch.bfloat16), "its logits differ"),
    "float16 weights": (lambda m: round_weights(m, torch.float16), "its logits differ"),
    "classes of another order": (lambda m: swap_output(m, "classes", "Add", 1.0), "have another class"),
    "confidence too low": (lambda m: swap_output(m, "confidence", "Mul", 0.9), "its confidence differs"),
}


@pytest.mark.floats
@pytest.mark.parametrize("fault", PLANTED)
def test_parity_gate_refuses_a_planted_fault(
    trained_once: Workspace, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    plant, words = PLANTED[fault]
    honest = export.export_graph

    def unsound(graph: EdgeGraph, path: Path, params: Params) -> None:
        honest(graph, path, params)
        model = onnx.load(path)
        plant(model)
        onnx.save(model, path)

    monkeypatch.setattr(export, "export_graph", unsound)
    trained_once.onnx("source_only").unlink(missing_ok=True)
    with pytest.raises(UserError, match=f"against torch in float64, .*{words}.* export soundly"):
        export.run(load_params(), trained_once, "source_only")
    assert not trained_once.onnx("source_only").exists()
    assert not list(trained_once.onnx("source_only").parent.glob("*")), "nothing half-written stays"


@pytest.mark.floats
@pytest.mark.parametrize("fault", [None, "weights", "adaptive"])
def test_parity_gate_refuses_another_network(
    trained_once: Workspace, tmp_path: Path, fault: str | None
) -> None:
    """What the exporter itself may do wrong: weights of another moment, a pooling written down for one size."""
    params = load_params()
    network = build_segmenter(params.network, pretrained=False)
    load_weights(network, trained_once.weights("source_only"))
    graph = EdgeGraph(network)
    batches = [np.random.default_rng(0).integers(0, 256, (2, h, 96, 3), dtype=np.uint8) for h in (64, 96)]
    export.export_graph(graph, tmp_path / "model.onnx", params)
    if fault == "weights":
        with torch.no_grad():
            network.segmentation_head[0].bias.add_(torch.linspace(-4, 4, 19))  # type: ignore[union-attr]
    if fault == "adaptive":
        # onnx has no adaptive pooling: exporters write the window down that the example's size has.
        graph.network = torch.nn.Sequential(Windowed(), network)
        export.export_graph(graph, tmp_path / "model.onnx", params)
        graph.network = torch.nn.Sequential(Adaptive(), network)
    found = [verdict.fault for verdict in verdicts(graph, tmp_path / "model.onnx", batches)]
    assert any(found) == (fault is not None), found


class Adaptive(torch.nn.Module):
    """Adds the pictures' means over a grid of 2 x 2."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.adaptive_avg_pool2d(images, 2)
        return images + torch.nn.functional.interpolate(pooled, size=images.shape[-2:], mode="nearest")


class Windowed(torch.nn.Module):
    """The same for pictures of 64 x 96."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.avg_pool2d(images, (32, 48))
        return images + torch.nn.functional.interpolate(pooled, size=images.shape[-2:], mode="nearest")


def test_missing_weights_are_one_sentence(project: Path) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text())
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    prepare.run(load_params(), Workspace())
    with pytest.raises(UserError, match=r"student\.safetensors does not exist"):
        export.run(load_params(), Workspace(), "mic")


@pytest.mark.floats
@pytest.mark.parametrize(
    "network",
    [
        {
            "architecture": "daformer",
            "encoder": "tu-test_resnet",
            "decoder": {"embed_dim": 16, "channels": 16},
        },
        {"architecture": "deeplabv2", "encoder": "tu-test_resnet"},
        {"architecture": "dpt", "encoder": "tu-test_vit", "decoder": {"decoder_fusion_channels": 16}},
        {"architecture": "fpn", "encoder": "tu-test_resnet", "shrink": 2},
    ],
    ids=lambda network: f"{network['architecture']}{'-shrunk' if 'shrink' in network else ''}",
)
def test_every_kind_of_network_agrees_with_torch_at_every_size(
    project: Path, tmp_path: Path, network: dict[str, object]
) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["network"] = network
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    torch.manual_seed(0)
    graph = EdgeGraph(build_segmenter(params.network))
    path = tmp_path / "model.onnx"
    export.export_graph(graph, path, params)
    parity = export.check_parity(graph, path, params, read_index(workspace.index("target")))
    stride = graph.stride
    assert stride == (64 if "shrink" in network else 32)
    assert all(height % stride == width % stride == 0 for _, height, width in parity["shapes"])
    assert len(parity["shapes"]) == 6
    assert parity["logit_error"] <= parity["logit_bound"] < 1e-2
    assert broken_rules(path) == []


@pytest.mark.floats
def test_a_rotary_embedding_follows_the_picture(tmp_path: Path) -> None:
    class Rotary(torch.nn.Module):
        """What a DINOv3 encoder adds to its patches of 16 x 16 pixels."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding = RotaryEmbeddingDinoV3(8)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.embedding.get_embed([image.shape[-2] // 16, image.shape[-1] // 16])

    rotary, file = Rotary().eval(), tmp_path / "rotary.onnx"
    h, w = torch.export.Dim("h", max=64), torch.export.Dim("w", max=64)
    with symbolic_rotary_embedding():
        torch.onnx.export(
            rotary,
            (torch.zeros(1, 3, 64, 96),),
            file,
            dynamic_shapes=({2: 32 * h, 3: 32 * w},),
            verbose=False,
        )
    session = onnxruntime.InferenceSession(file)
    for size in ((64, 96), (32, 128), (160, 64)):
        image = torch.zeros(1, 3, *size)
        (answer,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
        np.testing.assert_allclose(np.asarray(answer), rotary(image), atol=1e-6)
