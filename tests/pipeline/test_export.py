"""Export: the file honours the contract, agrees with torch, and is not kept where it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from timm.layers.pos_embed_sincos import RotaryEmbeddingDinoV3

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
from pipeline.onnx_graph import symbolic_rotary_embedding
from pipeline.params import load_params
from pipeline.workspace import Workspace


@pytest.fixture
def trained(project: Path) -> Workspace:
    """source_only trained for a few steps and evaluated."""
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    train.run(params, workspace, "source_only")
    evaluate.run(params, workspace, "source_only")
    return workspace


def test_exported_file_honours_the_contract(trained: Workspace) -> None:
    params = load_params()
    manifest = export.run(params, trained, "source_only")
    path = trained.onnx("source_only")

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
    assert manifest.parity["agreement_min"] >= 0.9999
    assert (
        sorted({tuple(s[1:]) for s in manifest.parity["shapes"]}) == [(64, 96), (96, 160)]
        or len({tuple(s[1:]) for s in manifest.parity["shapes"]}) >= 2
    )
    assert {s[0] for s in manifest.parity["shapes"]} == {1, 2}
    assert not list(path.parent.glob(".*")), "nothing half-written stays"


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
        assert (expected.classes == found.classes).mean() >= 0.9999
        assert np.abs(expected.confidence - found.confidence).max() <= 1.5 / 255


def test_parity_gate_refuses_a_graph_that_differs(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = export.export_graph

    def shifted(graph: export.EdgeGraph, path: Path, params: object) -> None:
        with torch.no_grad():
            graph.network.segmentation_head[0].bias.add_(torch.linspace(-4, 4, 19))  # type: ignore[union-attr]
        honest(graph, path, params)  # type: ignore[arg-type]
        with torch.no_grad():
            graph.network.segmentation_head[0].bias.sub_(torch.linspace(-4, 4, 19))  # type: ignore[union-attr]

    monkeypatch.setattr(export, "export_graph", shifted)
    with pytest.raises(UserError, match=r"torch and ONNX agree on 0\.\d+ .*below export\.parity_agreement"):
        export.run(load_params(), trained, "source_only")
    assert not trained.onnx("source_only").exists()
    assert not list(trained.onnx("source_only").parent.glob("*")), "nothing half-written stays"


def test_missing_weights_are_one_sentence(project: Path) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text())
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    prepare.run(load_params(), Workspace())
    with pytest.raises(UserError, match=r"student\.safetensors does not exist"):
        export.run(load_params(), Workspace(), "mic")


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
    # One pixel of an untrained network's ties is more than 0.0001 of so small a picture.
    raw["export"] = {"parity_agreement": 0.999}
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    torch.manual_seed(0)
    graph = EdgeGraph(build_segmenter(params.network))
    export.export_graph(graph, tmp_path / "model.onnx", params)
    parity = export.check_parity(
        graph, tmp_path / "model.onnx", params, read_index(workspace.index("target"))
    )
    stride = graph.stride
    assert stride == (64 if "shrink" in network else 32)
    assert all(height % stride == width % stride == 0 for _, height, width in parity["shapes"])
    assert len(parity["shapes"]) == 6
    assert parity["confidence_difference_max"] <= 1


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
