"""/segment and /compare through gradio_client against a running `python -m app`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from app.comparison import compare
from pipeline.edge.images import read_image
from pipeline.edge.runtime import Segmenter


@pytest.fixture(scope="module")
def client(page_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(
        page_url, verbose=False, download_files=tmp_path_factory.mktemp("answers"), analytics_enabled=False
    )
    yield client
    client.close()


def test_only_the_two_endpoints_are_public(client: Client) -> None:
    api = client.view_api(print_info=False, return_format="dict")
    assert isinstance(api, dict)
    assert set(api["named_endpoints"]) == {"/segment", "/compare"}
    assert api["unnamed_endpoints"] == {}


def test_segment(client: Client, photo: Path, model_folder: Path) -> None:
    overlay, facts = client.predict(handle_file(photo), "mic", api_name="/segment")
    assert Image.open(overlay).size == (320, 200)
    classes = Segmenter(model_folder / "mic.onnx").segment(read_image(photo)).classes
    assert {c["id"]: c["share"] for c in facts["classes"]} == {
        int(i): pytest.approx(float((classes == i).mean())) for i in np.unique(classes)
    }
    assert facts["model"] == "mic"
    assert facts["picture"] == facts["overlay"] == {"height": 200, "width": 320}
    assert set(facts["milliseconds"]) == {"prepare", "network", "finish"}


def test_compare(client: Client, photo: Path, model_folder: Path) -> None:
    before, after, facts = client.predict(handle_file(photo), api_name="/compare")
    first, second = np.asarray(Image.open(before)), np.asarray(Image.open(after))
    assert first.shape == second.shape == (200, 320, 3)
    assert not np.array_equal(first, second)
    image = read_image(photo)
    maps = [Segmenter(model_folder / f"{n}.onnx").segment(image).classes for n in ("source_only", "mic")]
    expected = compare(*maps).as_json()
    assert {key: facts[key] for key in expected} == expected
    assert facts["models"] == {"before": "source_only", "after": "mic"}
    assert all(ms >= 0 for times in facts["milliseconds"].values() for ms in times.values())


def test_refusals_are_sentences(client: Client, photo: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no picture at all")
    with pytest.raises(AppError, match=r"notes\.png is not a picture that can be read: use .*\.$"):
        client.predict(handle_file(text), api_name="/compare")
    with pytest.raises(AppError, match="No model is called resnet: use one of source_only, mic"):
        client.predict(handle_file(photo), "resnet", api_name="/segment")
    with pytest.raises(AppError, match="send an image file"):
        client.predict(None, api_name="/compare")
