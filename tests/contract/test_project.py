"""What the repository promises: the lock, the pins, the layout, the links and commands of the README."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from pipeline.edge.runtime import Segmenter, find_models

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked() -> dict[str, str]:
    """Package -> version (the first where markers split it)."""
    pins = re.findall(r"^([A-Za-z0-9_.\-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.M)
    return dict(reversed(pins))


def test_lock_has_hashes_and_no_index_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z0-9])", text[text.index("\n", text.index("#")) :].strip())
    pinned = [b for b in blocks if "==" in b.split("\n")[0]]
    assert len(pinned) > 100
    assert all("--hash=sha256:" in b for b in pinned)


def test_pins_that_have_a_reason() -> None:
    pins = locked()
    assert pins["albumentations"] == "2.0.8", "the last MIT release"
    assert pins["lightning-fabric"] not in ("2.6.2", "2.6.3"), "malicious uploads"
    text = (ROOT / "requirements.lock").read_text()
    assert re.search(
        r"^onnxruntime-gpu==.*platform_machine == 'x86_64' and sys_platform == 'linux'", text, re.M
    )
    assert re.search(r"^onnxruntime==.*platform_machine != 'x86_64' or sys_platform != 'linux'", text, re.M)


def test_base_install_is_the_edge_runtime_alone() -> None:
    names = {re.split(r"[<>=;\[ ]", d)[0] for d in PROJECT["project"]["dependencies"]}
    assert names == {"numpy", "pillow", "onnxruntime"}


def test_no_file_is_much_over_300_lines() -> None:
    files = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "app").rglob("*.py")]
    assert {str(f): n for f in files if (n := len(f.read_text().splitlines())) > 310} == {}


def test_links_in_the_docs_exist() -> None:
    for doc in DOCS:
        for target in re.findall(r"\]\(([^)#]+)\)", doc.read_text()):
            assert (doc.parent / target).exists(), f"{doc.name}: {target}"


def test_commands_in_the_docs_exist() -> None:
    text = "\n".join(doc.read_text() for doc in DOCS)
    for module in set(re.findall(r"python -m ((?:pipeline|app)[.\w]*)", text)):
        path = ROOT / Path(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    make = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.M)):
        assert re.search(rf"^{target}:", make, re.M), f"make {target}"
    for path in set(
        re.findall(r"(?:profiles|pipeline|app|models/night)/[\w/]+\.(?:yaml|py|onnx|jpg)\b(?!::)", text)
    ):
        assert (ROOT / path).exists(), path


def test_dvc_stages_depend_on_existing_files() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        for dependency in stage["deps"]:
            if dependency.startswith("pipeline"):
                assert (ROOT / dependency).exists(), f"{name}: {dependency}"


def test_params_files_hold_every_key_that_dvc_watches() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    watched = {key for stage in stages.values() for key in stage.get("params", [])}
    for path in (ROOT / "params.yaml", *(ROOT / "profiles").glob("*.yaml")):
        raw = yaml.safe_load(path.read_text())
        for key in watched:
            block, _, inner = key.partition(".")
            assert block in raw, f"{path.name}: {key}"
            assert not inner or inner in raw[block], f"{path.name}: {key}"


def test_git_tracks_nothing_that_was_generated() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = listed.stdout.split()
    assert not [f for f in tracked if f.startswith(("data/", "weights/", "checkpoints/", "runs/", "report/"))]
    assert not [
        f
        for f in tracked
        if f.endswith((".onnx", ".safetensors")) and not f.startswith(("models/night/", "models/encoders/"))
    ]


def test_shipped_night_models_are_sound_and_small() -> None:
    models = find_models(ROOT / "models" / "night")
    assert list(models) == ["source_only", "mic"]
    for name, path in models.items():
        assert path.stat().st_size <= 10_000_000
        manifest = Segmenter(path).manifest
        assert (manifest.method, manifest.seed) == (name, 0)
        assert manifest.raw == json.loads(path.with_suffix(".json").read_text())
        assert any("BDD100K" in licence for licence in manifest.licences["data"])
        assert any("CamVid" in licence for licence in manifest.licences["data"])
