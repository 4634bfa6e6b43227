"""OpenVINO reads the same file and answers the same; without it, the error says what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.edge.backend import warn
from pipeline.edge.cli import main
from pipeline.edge.errors import BadModel, ProviderMissing, UserError
from pipeline.edge.images import read_image
from pipeline.edge.openvino_backend import load_openvino
from pipeline.edge.runtime import Segmenter

openvino = load_openvino()

NIGHT = Path(__file__).resolve().parents[2] / "models/night/mic.onnx"
EXAMPLES = Path(__file__).resolve().parents[2] / "app/examples"


def random_picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def test_results_and_manifest_are_those_of_onnxruntime(tiny_model: Path) -> None:
    segmenter, reference = Segmenter(tiny_model, "openvino", threads=1), Segmenter(tiny_model)
    assert segmenter.provider == "openvino"
    assert segmenter.manifest == reference.manifest
    for size in ((64, 128), (100, 70), (33, 500), (500, 33)):
        picture = random_picture(*size)
        found, wanted = segmenter.segment(picture), reference.segment(picture)
        np.testing.assert_array_equal(found.classes, wanted.classes)
        np.testing.assert_allclose(found.confidence, wanted.confidence, atol=1.01 / 255)


@pytest.mark.parametrize("bound", ["SSE41", "AVX2"])
def test_a_bound_on_onednns_instructions_does_not_leave_it_without_kernels(bound: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.edge", "verify", NIGHT, "--provider", "openvino"],
        cwd=NIGHT.parents[2],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": bound},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_shipped_model_agrees_on_pictures() -> None:
    segmenter, reference = Segmenter(NIGHT, "openvino"), Segmenter(NIGHT)
    for name in ("night_highway.jpg", "fog_drawn.png"):
        picture = read_image(EXAMPLES / name)
        found, wanted = segmenter.segment(picture), reference.segment(picture)
        assert (found.classes == wanted.classes).mean() >= 0.9999, "in f32, whatever the CPU"
        assert len(np.unique(found.classes)) > 3


def test_several_threads_get_answers_of_their_own(tiny_model: Path) -> None:
    segmenter = Segmenter(tiny_model, "openvino", at_once=2)
    assert segmenter.at_once == 1
    pictures = [random_picture(*size) for size in ((64, 128), (100, 70), (33, 500), (64, 64), (65, 64))]
    alone = [segmenter.segment(p).classes for p in pictures]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda p: segmenter.segment(p).classes, pictures))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_models_that_break_the_contract_are_refused(
    make_model: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadModel, match=r"outputs are .*labels.*not those of a mic-adapt model"):
        Segmenter(make_model(classes_name="labels"), "openvino")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(tiny_model.read_bytes().replace(b"AveragePool", b"AveragePoor"))
    with pytest.raises(BadModel, match=r"broken\.onnx: OpenVINO cannot read it \(.*\); use cpu") as caught:
        Segmenter(broken, "openvino", verify=False)
    assert "\n" not in str(caught.value)


def test_nobody_is_told_that_openvino_was_imported(tiny_model: Path) -> None:
    script = (
        "import sys, urllib.request, threading\n"
        "urllib.request.urlopen = lambda *a, **k: print('sent')\n"
        "from pipeline.edge.runtime import Segmenter\n"
        f"Segmenter({str(tiny_model)!r}, 'openvino')\n"
        "[thread.join(20) for thread in threading.enumerate() if thread is not threading.current_thread()]\n"
        "print([name for name, module in sys.modules.items() if 'telemetry.' in name])\n"
    )
    # Where CI is set it is silent anyway.
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    told = subprocess.run(
        [sys.executable, "-c", script], check=False, env=environment, capture_output=True, text=True
    )
    assert (told.returncode, told.stdout) == (0, "[]\n"), told.stderr


def test_without_openvino_the_error_says_what_to_install(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ProviderMissing, match=r"openvino does not load .*install mic-adapt\[openvino\]"):
        Segmenter(tiny_model, "openvino")
    warn.cache_clear()
    assert Segmenter(tiny_model, "openvino", allow_cpu=True).provider == "cpu"
    assert "warning: the CPU runs instead: Provider openvino" in capsys.readouterr().err


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An OpenVINO that says it computes in `precision`, whatever it was `asked`."""
    drawn = SimpleNamespace(precision="bf16", asked=[])
    compile_model = openvino.Core.compile_model

    class Told:
        def __init__(self, model: Any) -> None:
            self._model = model

        def get_property(self, _: str) -> SimpleNamespace:
            return SimpleNamespace(get_type_name=lambda: drawn.precision)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._model, name)

    def compiled(core: Any, model: Any, device: str, config: dict[str, Any]) -> Told:
        drawn.asked.append(config)
        hint = {"INFERENCE_PRECISION_HINT": "f32"}  # computes so on every machine
        return Told(compile_model(core, model, device, config | hint))

    monkeypatch.setattr(openvino.Core, "compile_model", compiled)
    warn.cache_clear()
    return drawn


def test_what_a_lower_precision_changes_is_measured_and_said(
    takes: SimpleNamespace, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Segmenter(NIGHT, "openvino", threads=3, precision="auto").precision == "bf16"
    said = capsys.readouterr().err
    assert said.startswith(f"warning: openvino computes {NIGHT} in bf16: of its sample picture 0.")
    assert said.endswith(" % of the pixels get another class than in f32.\n")
    Segmenter(tiny_model, "openvino", precision="bf16")
    assert "in bf16: it holds no sample to measure what that changes." in capsys.readouterr().err
    assert takes.asked[0]["INFERENCE_NUM_THREADS"] == 3
    assert [c.get("INFERENCE_PRECISION_HINT") for c in takes.asked] == [None, "bf16"]


def test_another_precision_than_the_one_asked_for_is_an_error(
    takes: SimpleNamespace, tiny_model: Path
) -> None:
    with pytest.raises(ProviderMissing, match="computes in bf16 on this CPU, not in f32: use bf16 or auto"):
        Segmenter(tiny_model, "openvino")
    takes.precision = "f32"
    assert Segmenter(tiny_model, "openvino").precision == "f32"
    with pytest.raises(ProviderMissing, match="computes in f32 on this CPU, not in bf16: use f32 or auto"):
        Segmenter(tiny_model, "openvino", precision="bf16")


@pytest.mark.parametrize("provider", ["cpu", "cuda", "tensorrt", "coreml"])
def test_others_have_no_choice_of_precision(tiny_model: Path, provider: str) -> None:
    with pytest.raises(UserError, match=f"Provider {provider} has no choice of precision"):
        Segmenter(tiny_model, provider, precision="bf16")
    with pytest.raises(UserError, match="Unknown precision 'f64': use f32, bf16 or auto"):
        Segmenter(tiny_model, provider, precision="f64")


def test_verify_and_bench_say_in_what(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(NIGHT), "--provider", "openvino"]) == 0
    assert "by openvino in f32" in capsys.readouterr().out
    assert main(["verify", str(NIGHT)]) == 0
    assert "by cpu in f32" in capsys.readouterr().out
    assert main(["bench", str(tiny_model), "--runs", "1", "--json", "--provider", "openvino"]) == 0
    assert '"provider": "openvino", "precision": "f32"' in capsys.readouterr().out
    assert main(["verify", str(NIGHT), "--precision", "bf16"]) == 2
