"""The pass of shapes: says what a real training pass would, costs no memory, changes nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline.edge.errors import UserError
from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Hrda, Network
from pipeline.params.train import Optimiser, Train
from pipeline.training.dry_pass import check_batch, failure

HRDA = {"hrda": Hrda(detail=(64, 64))}
SMALL = {"decoder_channels": 32}
NETWORKS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("daformer", "tu-test_convnext", {"embed_dim": 32, "channels": 32}, {}),
    ("daformer", "tu-test_resnet", {"embed_dim": 32, "channels": 32}, HRDA),
    ("deeplabv2", "tu-test_resnet", {}, {}),
    ("deeplabv3", "tu-test_resnet", SMALL, {}),
    ("deeplabv3plus", "tu-test_resnet", SMALL, {}),
    ("deeplabv3plus", "tu-test_resnet", SMALL, {"shrink": 2}),
    ("dpt", "tu-test_vit", {"decoder_fusion_channels": 32}, {}),
    ("fpn", "tu-test_resnet", {"decoder_pyramid_channels": 32}, {}),
    ("linknet", "tu-test_resnet", {}, {}),
    ("manet", "tu-test_resnet", {}, {}),
    ("pan", "tu-test_resnet", {}, {}),
    ("pspnet", "tu-test_resnet", {}, {}),
    ("segformer", "mit_b0", {}, {}),
    ("unet", "tu-test_resnet", {}, {}),
    ("upernet", "tu-test_resnet", SMALL, {}),
]


@cache
def built(place: int) -> nn.Module:
    architecture, encoder, decoder, more = NETWORKS[place]
    network = Network(architecture=architecture, encoder=encoder, decoder=decoder, **more)
    return build_segmenter(network, pretrained=False)


def fails(network: nn.Module, batch: int, crop: tuple[int, int]) -> bool:
    """What a real pass says."""
    try:
        network.train()(torch.zeros(batch, 3, *crop))
    except (RuntimeError, ValueError):
        return True
    return False


@settings(max_examples=60)
@given(
    st.integers(0, len(NETWORKS) - 1),
    st.integers(1, 3),
    st.tuples(st.sampled_from([64, 128]), st.sampled_from([64, 128])),
)
def test_it_says_what_a_real_pass_says(place: int, batch: int, crop: tuple[int, int]) -> None:
    assert (failure(built(place), batch, crop) is not None) == fails(built(place), batch, crop)


@pytest.mark.parametrize("place", range(len(NETWORKS)), ids=[f"{a}-{e}" for a, e, *_ in NETWORKS])
def test_it_changes_nothing(place: int) -> None:
    network = built(place).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator = torch.random.get_rng_state()
    failure(network, 1, (64, 64))
    assert not any(module.training for module in network.modules())
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


INSTANCES = {"decoder_use_norm": {"type": "instancenorm", "affine": True}}


@pytest.mark.parametrize(
    ("architecture", "decoder", "side", "why", "fix"),
    [
        ("deeplabv3plus", {}, 64, "more than 1 value per channel", "set train.batch_size to 2 or more"),
        ("manet", INSTANCES, 32, "more than 1 spatial element", "raise train.crop"),
        ("pan", {}, 64, "Output size is too small", "raise train.crop"),
        ("upernet", INSTANCES, 64, "more than 1 spatial element", "choose another network.architecture"),
    ],
)
def test_the_fix_is_one_that_helps(
    architecture: str, decoder: dict[str, Any], side: int, why: str, fix: str
) -> None:
    settings = Network(architecture=architecture, encoder="tu-test_resnet", decoder=decoder)
    network = build_segmenter(settings, pretrained=False)
    batch_size = 1 if "batch_size" in fix else 2
    config = Train(steps=1, batch_size=batch_size, crop=(side, side), optimiser=Optimiser(lr=1.0))
    with pytest.raises(UserError, match=why) as caught:
        check_batch(network, settings, config)
    assert fix in str(caught.value)
    assert "\n" not in str(caught.value)


def test_norms_that_cannot_be_built_are_one_sentence() -> None:
    settings = Network(
        architecture="unet", encoder="tu-test_resnet", decoder={"decoder_use_norm": "instancenorm"}
    )
    with pytest.raises(UserError, match="cannot be built"):
        build_segmenter(settings, pretrained=False)
