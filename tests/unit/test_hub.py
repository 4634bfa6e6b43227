"""Encoder weights by name, from a stand-in of the hub on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save
from segmentation_models_pytorch.encoders import get_encoder

from pipeline.edge.errors import UserError
from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Network

TIMM = "timm/test_resnet.r160_in1k"
SMP = "smp-hub/resnet18.imagenet"
GATED = "timm/test_vit.r160_in1k"


class Hub(ThreadingHTTPServer):
    """Answers /<repository>/resolve/<commit>/model.safetensors as the hub does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        repository = self.path.split("/resolve/")[0].strip("/")
        content = self.server.files.get(repository)
        if content is None:
            code, error = (403, "GatedRepo") if repository == GATED else (404, "RepoNotFound")
            self.send_response(code)
            self.send_header("X-Error-Code", error)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        digest = hashlib.sha256(content).hexdigest()
        self.send_response(200)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Repo-Commit", digest[:40])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.chdir(tmp_path)
    yield server
    server.shutdown()
    server.server_close()


def timm_weights(seed: int) -> bytes:
    torch.manual_seed(seed)
    return save(timm.create_model("test_resnet").state_dict())


def network(encoder: str, weights: str, **fields: str) -> Network:
    return Network.model_validate({"architecture": "fpn", "encoder": encoder, "weights": weights, **fields})


def first_filter(of: Network) -> torch.Tensor:
    return next(build_segmenter(of).encoder.parameters())


def test_timms_weights_are_fetched_and_pinned(hub: Hub, tmp_path: Path) -> None:
    hub.files[TIMM] = timm_weights(3)
    found = first_filter(network("tu-test_resnet", "timm"))
    torch.manual_seed(3)
    assert torch.equal(found, next(timm.create_model("test_resnet").parameters()))
    pins = json.loads((tmp_path / "weights.lock").read_text())
    assert pins == {TIMM: hashlib.sha256(hub.files[TIMM]).hexdigest()}


def test_smps_own_name(hub: Hub, tmp_path: Path) -> None:
    torch.manual_seed(3)
    encoder = get_encoder("resnet18", weights=None)
    hub.files[SMP] = save(encoder.state_dict())
    assert torch.equal(first_filter(network("resnet18", "imagenet")), next(encoder.parameters()))
    hub.files[TIMM] = timm_weights(3)
    build_segmenter(network("tu-test_resnet", "timm"))
    assert json.loads((tmp_path / "weights.lock").read_text()).keys() == {SMP, TIMM}, "the other pin stays"


def test_offline_the_cache_will_do(hub: Hub) -> None:
    hub.files[TIMM] = timm_weights(3)
    online = first_filter(network("tu-test_resnet", "timm"))
    hub.shutdown()
    hub.server_close()
    assert torch.equal(first_filter(network("tu-test_resnet", "timm")), online)


def test_offline_without_the_cache(hub: Hub, tmp_path: Path) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(
        UserError, match=rf"{TIMM} is not in the cache and {hub.url} does not answer: .*HF_ENDPOINT"
    ):
        build_segmenter(network("tu-test_resnet", "timm"))
    assert not (tmp_path / "weights.lock").exists()


def test_offline_by_the_hubs_own_switch(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files[TIMM] = timm_weights(3)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="is not in the cache"):
        build_segmenter(network("tu-test_resnet", "timm"))


def test_weights_that_changed_are_refused(hub: Hub, tmp_path: Path) -> None:
    hub.files[TIMM] = timm_weights(3)
    build_segmenter(network("tu-test_resnet", "timm"))
    before = (tmp_path / "weights.lock").read_text()
    hub.files[TIMM] = timm_weights(4)
    with pytest.raises(UserError, match=rf"weights\.lock: {TIMM} had sha256 \w+ when it was first used"):
        build_segmenter(network("tu-test_resnet", "timm"))
    assert (tmp_path / "weights.lock").read_text() == before
    (tmp_path / "weights.lock").unlink()
    build_segmenter(network("tu-test_resnet", "timm"))


def test_the_params_checksum_holds_for_names_too(hub: Hub) -> None:
    hub.files[TIMM] = timm_weights(3)
    with pytest.raises(UserError, match=r"asks for 0000"):
        build_segmenter(network("tu-test_resnet", "timm", sha256="0000"))


@pytest.mark.parametrize("lock", ["not json", "[1]", '{"a": 1}'])
def test_a_broken_lock_is_one_sentence(hub: Hub, tmp_path: Path, lock: str) -> None:
    hub.files[TIMM] = timm_weights(3)
    (tmp_path / "weights.lock").write_text(lock)
    with pytest.raises(UserError, match=r"weights\.lock is broken: "):
        build_segmenter(network("tu-test_resnet", "timm"))


@pytest.mark.parametrize(
    ("encoder", "weights", "sentence"),
    [
        (
            "resnet18",
            "imagnet",
            r"'imagnet' is unknown for network\.encoder resnet18: did you mean 'imagenet'\?",
        ),
        ("resnet18", "timm", r"'timm' is unknown for network\.encoder resnet18: there are imagenet, "),
        ("tu-test_resnet", "tim", r"did you mean 'timm'\?"),
        ("tu-test_resnet", "imagenet", r"there are timm; a file needs its \.safetensors"),
        ("tu-test_resnet", "timm", r"/timm/test_resnet\.r160_in1k has no model\.safetensors"),
        ("tu-test_vit", "timm", "asks for its terms to be accepted"),
        ("tu-coatnet_0_224", "timm", "none on the hub"),
    ],
)
def test_names_that_give_nothing(hub: Hub, encoder: str, weights: str, sentence: str) -> None:
    architecture = "dpt" if "vit" in encoder else "fpn"
    settings = network(encoder, weights).model_copy(update={"architecture": architecture})
    decoder = {"patch_size": 16, "img_size": [64, 96]} if "vit" in encoder else {}
    with pytest.raises(UserError, match=sentence):
        build_segmenter(settings.model_copy(update={"decoder": decoder}))


def test_a_file_is_a_file(hub: Hub) -> None:
    for value in ("weights.pth", "data/weights/imagenet", "imagenet.safetensors"):
        assert network("resnet18", value).hub_name is None
        with pytest.raises(UserError, match=f"{value} does not exist"):
            build_segmenter(network("resnet18", value))
    assert network("resnet18", "imagenet").hub_name == "imagenet"
