"""What every network must do, whatever it is made of; and mistakes in `network` as one sentence."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.adaptation.teacher import Teacher
from pipeline.edge.errors import UserError
from pipeline.networks.encoder_decoder import SegmentationNetwork, output_stride
from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Hrda, Network
from pipeline.tasks.segmentation.cross_entropy import logits_of, segmentation_loss

pytestmark = pytest.mark.floats

HEIGHT, WIDTH = 128, 192
HRDA = Hrda(detail=(64, 64))
SHRUNK = {"shrink": 2}
# Architecture, encoder, decoder arguments, HRDA or shrink; input pixels per logit and per position of the last stage.
CASES: list[tuple[str, str, dict[str, Any], Hrda | dict[str, int] | None, int, int]] = [
    ("daformer", "mit_b0", {"embed_dim": 32, "channels": 32}, None, 4, 32),
    ("daformer", "tu-test_convnext", {"embed_dim": 32, "channels": 32}, None, 4, 32),
    ("daformer", "tu-test_resnet", {"embed_dim": 32, "channels": 32, "encoder_output_stride": 8}, None, 4, 8),
    ("deeplabv2", "tu-test_resnet", {}, None, 8, 8),
    ("deeplabv2", "resnet18", {"dilations": [6, 12, 18, 24]}, None, 8, 8),
    ("daformer", "tu-test_resnet", {"embed_dim": 32, "channels": 32}, HRDA, 4, 64),
    ("deeplabv2", "tu-test_resnet", {}, HRDA, 8, 16),
    ("segformer", "tu-test_convnext", {"decoder_segmentation_channels": 32}, HRDA, 4, 64),
    ("dpt", "tu-test_vit", {"decoder_fusion_channels": 32}, None, 2, 16),
    ("dpt", "tu-vit_tiny_patch16_224", {"decoder_fusion_channels": 32, "encoder_depth": 3,
      "decoder_intermediate_channels": [32, 32, 32], "encoder_output_indices": [1, 3, 5]}, None, 2, 16),
    ("fpn", "tu-test_resnet", {"decoder_pyramid_channels": 32}, None, 4, 32),
    ("fpn", "tu-test_resnet", {"decoder_pyramid_channels": 32}, SHRUNK, 8, 64),
    ("segformer", "mit_b0", {}, None, 4, 32),
    ("upernet", "tu-test_resnet", {"decoder_channels": 32}, None, 4, 32),
    ("unet", "tu-test_resnet", {}, None, 1, 32),
    ("unetplusplus", "tu-test_resnet", {}, None, 1, 32),
    ("manet", "tu-test_resnet", {}, None, 1, 32),
    ("linknet", "tu-test_resnet", {}, None, 1, 32),
    ("pspnet", "tu-test_resnet", {}, None, 8, 8),
    ("deeplabv3", "tu-test_resnet", {"decoder_channels": 32}, None, 8, 8),
    ("deeplabv3plus", "tu-test_resnet", {"decoder_channels": 32}, None, 4, 16),
    ("pan", "tu-test_resnet", {}, None, 4, 16),
]  # fmt: skip


@pytest.fixture(
    params=CASES,
    ids=lambda case: f"{case[0]}-{case[1]}{'-shrunk' if case[3] == SHRUNK else '-hrda' if case[3] else ''}",
)
def case(request: pytest.FixtureRequest) -> tuple[SegmentationNetwork, int, int]:
    """A network as training holds it, its stride, and that of its features."""
    architecture, encoder, decoder, view, stride, feature_stride = request.param
    torch.manual_seed(0)
    view = view if isinstance(view, dict) else {"hrda": view}
    network = build_segmenter(Network(architecture=architecture, encoder=encoder, decoder=decoder, **view))
    return network.to(memory_format=torch.channels_last), stride, feature_stride


def pictures(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


def test_behaviour(case: tuple[SegmentationNetwork, int, int]) -> None:
    network, stride, feature_stride = case
    images, label = pictures(), torch.randint(0, 19, (2, HEIGHT, WIDTH))

    # Training: logits at the decoder's own stride, and a gradient for everything.
    network.train()
    output, features = network(images, with_features=True)
    assert logits_of(output).shape == (2, 19, HEIGHT // stride, WIDTH // stride)
    assert features.shape[-2:] == (HEIGHT // feature_stride, WIDTH // feature_stride)
    assert features.requires_grad
    (segmentation_loss(output, label) + features.square().mean()).backward()
    missing = [
        name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert not missing
    network.zero_grad(set_to_none=True)

    # Evaluation: plain logits, the same each time, with features those of the encoder alone.
    network.eval()
    with torch.no_grad():
        logits, features = network(images, with_features=True)
        assert logits.shape == (2, 19, HEIGHT // stride, WIDTH // stride)
        assert torch.equal(network(images), logits)
        assert torch.equal(network.encoder_features(images), features)
        assert torch.allclose(network(images[:1]), logits[:1], atol=1e-4)
        assert torch.equal(copy.deepcopy(network)(images), logits)

    # The teacher labels with plain logits, in whichever mode the student is.
    teacher = Teacher(network.train(), alpha=0.99)
    teacher.update(network, step=1)
    assert teacher.predict(images).shape == logits.shape
    assert network.training

    # The optimiser and weights files rely on the names.
    parts = {name.split(".")[0] for name, _ in network.named_parameters()}
    assert parts <= {"encoder", "decoder", "segmentation_head", "attention"}


def test_output_stride_leaves_the_network_as_it_was() -> None:
    network = build_segmenter(Network(architecture="fpn", encoder="tu-test_resnet")).train()
    before = copy.deepcopy(network.state_dict())
    assert output_stride(network) == 4
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_daformer_starts_and_drops_as_in_the_paper() -> None:
    network = build_segmenter(Network(architecture="daformer", encoder="mit_b0"))
    head = network.segmentation_head
    assert isinstance(head, nn.Conv2d)
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert head.bias is not None
    assert not head.bias.any()
    (dropout,) = (m for m in network.decoder.modules() if isinstance(m, nn.Dropout2d))
    assert dropout.p == 0.1
    dilations = {m.dilation[0] for m in network.decoder.modules() if isinstance(m, nn.Conv2d)}
    assert dilations == {1, 6, 12, 18}


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"architecture": "darformer"}, r"network\.architecture 'darformer' is unknown: did you mean daformer,"),
        ({"architecture": "x"}, r"network\.architecture 'x' is unknown: there are daformer, deeplabv2, deeplabv3,"),
        ({"encoder": "mit_b55"}, r"network\.encoder 'mit_b55' is unknown .*did you mean mit_b5,"),
        ({"encoder": "tu-convnext_tny"}, r"is unknown .*tu-convnext_tiny"),
        ({"decoder": {"embed_dims": 8}}, r"network\.decoder\.embed_dims is no argument .*did you mean embed_dim"),
        ({"encoder": "tu-test_resnet", "decoder": {"embed_dims": 8}}, r"unexpected keyword argument 'embed_dims'"),
        ({"encoder": "tu-test_resnet", "decoder": {"classes": 8}}, r"network\.decoder\.classes is no argument"),
        ({"decoder": {"dilations": "wide"}}, r"daformer over mit_b0 .* cannot be built"),
        ({"encoder": "tu-test_vit"}, r"cannot be built .*dpt goes with ViTs"),
        ({"architecture": "dpt", "encoder": "tu-test_resnet"}, r"cannot be built .*dpt goes with ViTs"),
        ({"architecture": "deeplabv2"}, r"mit_b0 cannot be dilated to stride 8 .*tu-resnet101c"),
        ({"architecture": "unetplusplus"}, r"unetplusplus over mit_b0 .* cannot be built"),
        (
            {"architecture": "dpt", "encoder": "tu-test_vit", "decoder": {"patch_size": 14}},
            r"patches of 14 pixels, which do not divide 32: set network\.decoder\.patch_size: 16",
        ),
        (
            {"architecture": "dpt", "encoder": "tu-test_vit", "hrda": HRDA},
            r"network\.hrda cannot wrap dpt over tu-test_vit.*set network\.hrda: null",
        ),
        ({"hrda": Hrda(detail=(80, 64))}, r"network\.hrda\.detail \[80, 64\] must be multiples of 32"),
        ({"hrda": Hrda(detail=(64, 64), scale=0.3)}, r"network\.hrda\.scale 0\.3 must be 1 / a whole number"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(network: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_segmenter(Network.model_validate({"architecture": "daformer", "encoder": "mit_b0"} | network))


def test_a_shrunk_network_sees_means_of_its_pictures() -> None:
    shrunk = build_segmenter(Network(architecture="fpn", encoder="tu-test_resnet", shrink=2)).eval()
    plain = build_segmenter(Network(architecture="fpn", encoder="tu-test_resnet")).eval()
    plain.load_state_dict(shrunk.state_dict())
    small = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        seen = shrunk(small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
        assert torch.allclose(seen, plain(small), atol=1e-5)
    with pytest.raises(ValueError, match=r"hrda looks at full resolution: set shrink: 1 or hrda: null"):
        Network(architecture="fpn", encoder="tu-test_resnet", shrink=2, hrda=HRDA)
    with pytest.raises(UserError, match=r"pictures of 96x128 do not fit .*multiples of 64"):
        shrunk(torch.zeros(1, 3, 96, 128))


def test_pictures_that_do_not_fit() -> None:
    plain = build_segmenter(Network(architecture="fpn", encoder="tu-test_resnet"))
    with pytest.raises(UserError, match=r"pictures of 96x80 do not fit .*multiples of 32"):
        plain(torch.zeros(1, 3, 96, 80))
    settings = Hrda(detail=(64, 128))
    hrda = build_segmenter(Network(architecture="fpn", encoder="tu-test_resnet", hrda=settings))
    with pytest.raises(UserError, match=r"pictures of 96x128 do not fit .*multiples of 64"):
        hrda(torch.zeros(2, 3, 96, 128))
    with pytest.raises(
        UserError, match=r"network\.hrda\.detail \[64, 128\] is larger .* of 128x64: .*train\.crop"
    ):
        hrda(torch.zeros(2, 3, 128, 64))
