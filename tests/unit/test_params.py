"""Params: every mistake is one sentence with the key, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.edge.errors import UserError
from pipeline.params import Params, fingerprint, load_params
from pipeline.params.data import FORMATS, Data
from pipeline.params.section import Section

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_shipped_params_load_and_are_frozen(path: Path) -> None:
    params = load_params(path)
    with pytest.raises(ValueError, match="frozen"):
        params.seed = 3  # type: ignore[misc]


ACDC = {"format": "acdc", "root": "data/acdc"}
FOGGY = {"format": "foggy_cityscapes", "root": "data/foggy"}


def target(raw: dict[str, Any], block: Any) -> None:
    raw["data"]["target"] = block


def broken(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """The sentence for params.yaml after a change."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    change(raw)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(UserError) as caught:
        load_params(path)
    sentence = f"{caught.value};"  # so that an expectation can hold on to the end of a part
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda r: r["train"]["uda"].update(mask_ratoi=0.5), "train.uda.mask_ratoi, did you mean 'mask_ratio'?"),
        (lambda r: r.update(sead=1), "unknown key sead, did you mean 'seed'?"),
        (lambda r: r["data"]["scenes"].update(hight=1), "unknown key data.scenes.hight, did you mean 'height'?"),
        (lambda r: r["data"]["source"].update(trian="x"), "unknown key data.source.trian, did you mean 'train'?"),
        (lambda r: r["train"]["uda"].update(mask_ratio=1.5), "mask_ratio = 1.5: input should be less than"),
        (lambda r: r["train"].update(steps=0), "train.steps = 0: input should be greater than or equal to 1"),
        (lambda r: r["train"].pop("steps"), "train.steps is missing"),
        (lambda r: r["data"]["source"].update(format="voc"), f"data.source.format must be one of {', '.join(FORMATS)}"),
        (lambda r: target(r, [ACDC, {"format": "voc"}]), "data.target.1.format must be one of scenes, camvid, "),
        (lambda r: target(r, {"format": "acdc"}), "params.yaml: data.target.root is missing"),
        (lambda r: target(r, [ACDC, {"format": "gta"}]), "params.yaml: data.target.1.root is missing"),
        (lambda r: target(r, [ACDC | {"condition": []}]), "data.target.0.condition, did you mean 'conditions'?"),
        (lambda r: target(r, ACDC | {"protocols": 16}), "unknown key data.target.protocols;"),
        (lambda r: target(r, ACDC | {"conditions": ["haze"]}), "data.target.conditions.0 = 'haze': input should be"),
        (lambda r: target(r, ACDC | {"train": []}), "data.target.train: name at least one"),
        (lambda r: target(r, []), "data.target: name at least one"),
        (lambda r: target(r, 3), "data.target = 3: input should be a valid dictionary"),
        (lambda r: target(r, FOGGY | {"beta": 0.03}), "data.target: beta 0.03 was never drawn: use 0.005, "),
        (lambda r: r["train"]["uda"].update(mask_mode="both"), "needs batch_size 2, not 4"),
        (lambda r: r["train"].update(batch_size=3, uda={"mask_mode": "complementary"}), "an even batch_size, not 3"),
        (lambda r: r["train"]["uda"].update(mask_mode="mixed", base="adversarial"), "only base self_training has"),
        (lambda r: r["train"]["uda"].update(margins=[0.5, 0.5, 0, 0]), "leave nothing of a picture"),
        (lambda r: r["data"].pop("scenes"), "format `scenes` needs the block data.scenes"),
        (lambda r: r.update(methods=["magic"]), "methods.0 = 'magic': input should be 'source_only', 'self_tr"),
        (lambda r: r.update(evaluate={"mode": "sliding"}), "mode `sliding` needs window and window_stride"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    assert expected in broken(tmp_path, change)


def test_a_key_of_an_older_version_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["export"]["parity_agreement"] = 0.9999
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    assert load_params(path) == load_params(ROOT / "params.yaml")
    said = capsys.readouterr().err
    assert f"warning: {path}: export.parity_agreement is no longer read" in said
    assert said.count("\n") == 1


def test_unknown_class_name_in_id_map_names_the_nearest(tmp_path: Path) -> None:
    folders = {"format": "folders", "root": "x", "id_map": {7: "trafic light"}, "train": {"images": "i"}}
    sentence = broken(tmp_path, lambda r: r["data"].update(source=folders))
    assert (
        "id_map 7: 'trafic light' is not one of the 19 class names or `ignore`, did you mean 'traffic light'"
        in sentence
    )


def test_missing_file_and_broken_yaml(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml does not exist: run from the project folder"):
        load_params(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("seed: [1")
    with pytest.raises(UserError, match=r"bad\.yaml is not valid YAML"):
        load_params(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UserError, match="must hold keys"):
        load_params(tmp_path / "list.yaml")


def test_every_field_says_what_it_means() -> None:
    def below(section: type[Section]) -> set[type[Section]]:
        return {section}.union(*(below(s) for s in section.__subclasses__()))

    blocks = below(Section)

    def sections(section: type[Section]) -> set[type[Section]]:
        found = {section}
        for field in section.model_fields.values():
            for inner in blocks:
                if inner not in found and inner.__name__ in str(field.annotation):
                    found |= sections(inner)
        return found

    for section in sections(Params):
        assert section.__doc__
        for name, field in section.model_fields.items():
            is_block = any(s.__name__ in str(field.annotation) for s in blocks)
            assert field.description or is_block or name == "format", f"{section.__name__}.{name}"


def test_a_target_is_one_data_set_or_several() -> None:
    raw = {"source": {"format": "gta", "root": "data/gta"}, "size": [64, 64]}
    one = Data.model_validate(raw | {"target": ACDC})
    several = Data.model_validate(raw | {"target": [ACDC, FOGGY]})
    assert [d.format for d in one.targets] == ["acdc"]
    assert [d.format for d in several.targets] == ["acdc", "foggy_cityscapes"]
    assert several.data_sets("target") == several.targets
    assert several.data_sets("source") == (several.source,)


def test_fingerprint_sees_every_change() -> None:
    params = load_params(ROOT / "params.yaml")
    same = load_params(ROOT / "params.yaml")
    other = params.model_copy(update={"seed": 1})
    assert fingerprint(params) == fingerprint(same) != fingerprint(other)
