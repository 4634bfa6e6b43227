"""Providers: the one asked for runs, or the error says what is missing; the CPU only where it was allowed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from pipeline.edge import cli, onnxruntime_backend
from pipeline.edge.backend import reason, warn
from pipeline.edge.errors import BadModel, ProviderMissing, UserError
from pipeline.edge.providers import PROVIDERS
from pipeline.edge.runtime import Segmenter

NAMES = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
REAL = onnxruntime.InferenceSession


@pytest.fixture(autouse=True)
def every_warning_is_the_first() -> Iterator[None]:
    warn.cache_clear()
    yield
    warn.cache_clear()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A machine with every provider, drawn: what `runs`, the share of the graph it `takes`, what it was asked."""
    drawn = SimpleNamespace(
        available=[*NAMES.values(), "CPUExecutionProvider"], runs=None, takes=None, asked=[]
    )

    class Session:
        def __init__(self, path: str, options: Any, providers: list[Any], **_: object) -> None:
            drawn.asked.append((options, providers))
            self._names = [p if isinstance(p, str) else p[0] for p in providers]
            if isinstance(drawn.runs, Exception) and len(providers) > 1:
                raise drawn.runs
            self._session = REAL(path, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return drawn.runs or self._names

        def get_provider_graph_assignment_info(self) -> list[SimpleNamespace]:
            return [SimpleNamespace(ep_name=name) for name in drawn.takes or self._names]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: drawn.available)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return drawn


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The flavours of onnxruntime that importlib.metadata finds; to be filled."""
    versions: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    return versions


@pytest.mark.parametrize("provider", NAMES)
def test_provider_that_runs_is_asked_first_and_named(
    machine: SimpleNamespace, tiny_model: Path, provider: str
) -> None:
    segmenter = Segmenter(tiny_model, provider, threads=2)
    assert segmenter.provider == provider
    options, providers = machine.asked[-1]
    names = [p if isinstance(p, str) else p[0] for p in providers]
    assert (names[0], names[-1]) == (NAMES[provider], "CPUExecutionProvider")
    assert ("CUDAExecutionProvider" in names) == (provider in ("cuda", "tensorrt"))
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    picture = np.full((64, 128, 3), (1, 2, 3), np.uint8)
    assert (segmenter.segment(picture).classes == 2).all()


@pytest.mark.parametrize("provider", NAMES)
def test_another_provider_than_the_one_asked_for_is_an_error(
    machine: SimpleNamespace, tiny_model: Path, provider: str
) -> None:
    machine.runs = ["CPUExecutionProvider"]
    with pytest.raises(
        ProviderMissing, match=rf"{provider} does not run here .*fell back.*or use cpu"
    ) as caught:
        Segmenter(tiny_model, provider)
    assert caught.value.exit_code == 4
    machine.runs, machine.takes = None, ["CPUExecutionProvider"]
    with pytest.raises(ProviderMissing, match=rf"{provider} does not run here .*no node of this model"):
        Segmenter(tiny_model, provider)
    machine.available.remove(NAMES[provider])
    with pytest.raises(ProviderMissing, match=rf"Provider {provider} is not in onnxruntime .*or use cpu\.$"):
        Segmenter(tiny_model, provider)


def test_tensorrt_keeps_engines_by_the_graphs_hash(
    machine: SimpleNamespace, tiny_model: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    for path in (tiny_model, make_model("mic.onnx", first_class=1)):  # one name, other weights
        Segmenter(path, "tensorrt")
    folders = {Path(providers[0][1]["trt_engine_cache_path"]) for _, providers in machine.asked}
    assert len(folders) == 2
    assert all(f.is_dir() and f.parent == tmp_path / "cache/mic-adapt/tensorrt" for f in folders)


def test_a_failing_provider_is_told_from_a_bad_model(
    machine: SimpleNamespace, tiny_model: Path, tmp_path: Path
) -> None:
    machine.runs = RuntimeError(
        "/onnxruntime_src/onnxruntime/python/state.cc:729 void onnxruntime::f(Options&, const g&) Please install "
        "TensorRT libraries.\n"
    )
    with pytest.raises(
        ProviderMissing, match=r"not run here \(Please install TensorRT libraries\): check the driver"
    ):
        Segmenter(tiny_model, "tensorrt")
    broken = tmp_path / "broken.onnx"
    # One node's operator renamed: sound protobuf, no graph that loads.
    broken.write_bytes(tiny_model.read_bytes().replace(b"AveragePool", b"AveragePoor"))
    for provider in ("cpu", "cuda"):
        with pytest.raises(BadModel, match="no ONNX model that loads"):
            Segmenter(broken, provider, verify=False)


def test_the_cpu_stands_in_only_where_it_is_allowed(
    machine: SimpleNamespace, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.available.remove(NAMES["cuda"])
    for _ in range(2):
        segmenter = Segmenter(tiny_model, "cuda", allow_cpu=True)
        assert segmenter.provider == "cpu"
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1, "one sentence, however many models"
    assert told.err.startswith("warning: the CPU runs instead: Provider cuda is not in onnxruntime")


def test_mic_edge_exits_4_or_warns(
    machine: SimpleNamespace, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.runs = ["CPUExecutionProvider"]
    command = ["bench", str(tiny_model), "--runs", "1", "--json", "--provider", "cuda"]
    assert cli.main(command) == 4
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert cli.main([*command, "--allow-cpu"]) == 0
    told = capsys.readouterr()
    assert '"provider": "cpu"' in told.out
    assert "warning: the CPU runs instead" in told.err


def test_two_flavours_of_onnxruntime_are_a_warning_and_an_error_where_a_gpu_is_missing(
    machine: SimpleNamespace, installed: dict[str, str], tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed |= {"onnxruntime": "1.32.0"}
    Segmenter(tiny_model)
    assert capsys.readouterr().err == ""
    installed |= {"onnxruntime-gpu": "1.31.1"}
    assert Segmenter(tiny_model).provider == "cpu"
    sentence = (
        "onnxruntime-gpu 1.31.1 and onnxruntime 1.32.0 overwrite each other's files: pip uninstall onnxruntime-gpu "
        "onnxruntime, then install onnxruntime-gpu alone, which runs on the CPU too.\n"
    )
    assert capsys.readouterr().err == f"warning: {sentence}"
    machine.available.remove(NAMES["cuda"])
    with pytest.raises(
        ProviderMissing, match=r"cuda is not in onnxruntime .*pip uninstall onnxruntime-gpu onnxr"
    ):
        Segmenter(tiny_model, "cuda")


def test_runs_at_once_share_the_threads(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    options = onnxruntime_backend._options
    monkeypatch.setattr(
        onnxruntime_backend, "_options", lambda ort, threads: asked.append(threads) or options(ort, threads)
    )
    assert Segmenter(tiny_model).at_once == 1
    assert Segmenter(tiny_model, threads=4, at_once=2).at_once == 2
    assert Segmenter(tiny_model, threads=3, at_once=2).at_once == 2
    assert Segmenter(tiny_model, threads=1, at_once=2).at_once == 1
    assert asked == [None, 2, 2, 1]


def test_unknown_provider_and_zero_threads_are_usage_errors(tiny_model: Path) -> None:
    with pytest.raises(UserError, match=r"Unknown provider 'tpu': use cpu, .* or coreml\."):
        Segmenter(tiny_model, "tpu")
    with pytest.raises(UserError, match="0 threads"):
        Segmenter(tiny_model, threads=0)


@pytest.mark.parametrize(
    "provider", [p for p in NAMES if NAMES[p] not in onnxruntime.get_available_providers()]
)
def test_what_this_machine_lacks_is_said(tiny_model: Path, provider: str) -> None:
    with pytest.raises(ProviderMissing, match=f"Provider {provider} is not in onnxruntime"):
        Segmenter(tiny_model, provider)


def test_a_librarys_error_is_one_line() -> None:
    assert (
        reason(RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load failed.\nmore"))
        == "Load failed"
    )
    trace = "Exception from src/a.cpp:84:\nCheck 'x' failed at src/b.cpp:1:\nFrontEnd API failed with X:\nIt is odd.\n"
    assert reason(RuntimeError(trace)) == "It is odd"
    assert reason(ValueError()) == "ValueError"
    assert len(reason(RuntimeError("x" * 999))) == 200


def test_the_command_line_knows_every_provider(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("predict", "bench"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        assert f"{{{','.join(PROVIDERS)}}}" in capsys.readouterr().out.replace("\n", "").replace(" ", "")
