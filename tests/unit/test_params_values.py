"""Values of params.yaml that would crash or mislead later are refused at load, in one sentence with key and fix."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.edge.errors import UserError
from pipeline.params import Params, load_params

ROOT = Path(__file__).resolve().parents[2]
Key = tuple[str | int, ...]

# Every block that a params file may leave out is there, so that each of its keys is tried.
WHOLE: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
WHOLE["train"] |= {
    "source_size": [128, 256],
    "precision": "32-true",
    "workers": 1,
    "threads": 2,
    "log_every": 10,
    "checkpoint_every": 100,
    "picture_every": 200,
    "rare_class_sampling": {"temperature": 0.01, "min_share": 0.001, "min_crop_share": 0.005},
    "darken": {"kind": "exposure", "share": 0.5, "grey": [8, 65], "stops": [0.5, 4.5], "cast": 0.2, "noise": 0.01},
}  # fmt: skip
WHOLE["train"]["optimiser"] |= {"name": "adamw", "layer_decay": 0.9, "weight_decay": 0.01, "power": 1.0}
WHOLE["train"]["uda"] |= {
    "start_step": 0,
    "margins": [0.0, 0.1, 0.0, 0.0],
    "ignore_top": 0,
    "ignore_bottom": 0,
    "entropy_weight": 0.001,
    "adversarial_weight": 0.001,
    "class_prior": 0.0,
    "jitter_threshold": 0.2,
    "blur_threshold": 0.5,
    "mask_weight": 1.0,
    "mask_alpha": 0.9,
    "mask_tau": 0.5,
    "feature_distance": {"kind": "imagenet", "weight": 0.005},
    "curriculum": {"start_share": 0.3, "steps": 100},
}
WHOLE["evaluate"] |= {"mode": "sliding", "window": [64, 64], "window_stride": [32, 32]}
WHOLE["export"] |= {
    "int8": {"calibration_images": 32, "budget_points": 1.0, "agreement": 0.98},
    "fp16_agreement": 0.99,
}
WHOLE["network"] |= {"hrda": {"scale": 0.5, "detail": [64, 64], "detail_weight": 0.1}, "shrink": 1}
WHOLE["distil"] = {"network": {"architecture": "fpn", "encoder": "none"}, "steps": 10, "crop": [96, 192]}


def keys(value: Any, key: Key = ()) -> Iterator[Key]:
    """The path of every block, list and value in it."""
    if key:
        yield key
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        yield from keys(part, (*key, name))


def at(raw: Any, key: Key) -> Any:
    for name in key:
        raw = raw[name]
    return raw


def with_value(key: Key, value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(WHOLE)
    at(raw, key[:-1])[key[-1]] = value
    return raw


def load(folder: Path, raw: dict[str, Any]) -> Params | str:
    """The params, or the sentence that refuses them."""
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    try:
        return load_params(path)
    except UserError as refused:
        sentence = str(refused)
        assert sentence.startswith(f"{path}: ")
        assert "\n" not in sentence
        assert len(sentence) < len(str(path)) + 1500
        return sentence


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


KEYS = list(keys(WHOLE))
NUMBERS = [k for k in KEYS if type(at(WHOLE, k)) in (int, float)]
NAMES = [k for k in KEYS if isinstance(at(WHOLE, k), str)]
ODD = st.one_of(
    st.sampled_from([math.inf, -math.inf, math.nan, True, False, None, "", " ", "a\0b", [], {}, [[]]]),
    st.sampled_from([0, -1, 1, 2**31, 2**32, 2**63, 10**18, 10**30, 10**400, 1e-300, 1e30, 1e300, 0.5, 33]),
    st.floats(),
    st.integers(),
    st.text(max_size=5),
    st.lists(st.floats() | st.integers(), max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(["9" * 5000, "x" * 5000, [1] * 5000]),
)  # fmt: skip


def test_the_whole_file_loads(tmp_path: Path) -> None:
    assert isinstance(load(tmp_path, WHOLE), Params)


@settings(max_examples=600, derandomize=True, deadline=None)
@given(st.sampled_from(KEYS), ODD)
@example(("train", "threads"), 100_000)
@example(("train", "darken", "noise"), math.inf)
def test_any_value_anywhere_is_taken_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, key: Key, value: Any
) -> None:
    found = load(tmp_path_factory.getbasetemp(), with_value(key, value))
    if isinstance(found, Params):
        assert all(math.isfinite(n) for n in numbers(found.model_dump()))


@pytest.mark.parametrize("key", NUMBERS, ids=lambda key: ".".join(map(str, key)))
def test_no_number_may_be_endless_a_truth_or_beyond_all_use(tmp_path: Path, key: Key) -> None:
    for value in (math.inf, -math.inf, math.nan, True, False, -1, 10**20):
        if key[:2] == ("network", "decoder") and value not in (math.inf, -math.inf):
            continue  # arguments of a library: it knows its own
        sentence = load(tmp_path, with_value(key, value))
        assert isinstance(sentence, str), f"{key} = {value} is taken"
        named = "decoder" if "decoder" in key else next(k for k in reversed(key) if isinstance(k, str))
        assert named in sentence


@pytest.mark.parametrize("key", NAMES, ids=lambda key: ".".join(map(str, key)))
def test_no_name_or_path_may_be_empty(tmp_path: Path, key: Key) -> None:
    for value in ("", "  ", "a\0b"):
        assert isinstance(load(tmp_path, with_value(key, value)), str), f"{key} = {value!r} is taken"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("train.threads", 100_000, "train.threads = 100000: input should be less than or equal to 1024"),
        ("train.workers", 10_000, "train.workers = 10000: input should be less than or equal to 128"),
        ("train.darken.noise", math.inf, "train.darken.noise = inf: input should be a finite number"),
        ("train.darken.grey", [8, math.inf], "train.darken.grey.1 = inf: input should be a finite number"),
        ("train.darken.grey", [65, 8], "grey [65.0, 8.0] must be two numbers, the lower first"),
        ("train.uda.mask_weight", math.inf, "train.uda.mask_weight = inf: input should be a finite number"),
        ("train.steps", True, "train: steps is true where a number or a name is meant"),
        ("train.crop", [96, True], "train: crop is true where a number or a name is meant"),
        ("train.crop", [100_000, 100_000], "train.crop.0 = 100000: input should be less than or equal to 16384"),
        ("train.crop", [96], "train.crop.1 is missing"),
        ("train.uda.start_step", 800, "uda.start_step 800 leaves none of the 800 steps for the target: lower it"),
        ("train.uda.mask_start_step", 10**6, "uda.mask_start_step 1000000 must be from uda.start_step 0 to the last"),
        ("train.uda.ignore_top", 96, "uda.ignore_top 96 and ignore_bottom 0 leave no row of a crop of 96 rows"),
        ("evaluate.window_stride", [64, 128], "window_stride [64, 128] is larger than window [64, 64] and leaves"),
        ("evaluate.bootstrap", 10**9, "evaluate.bootstrap = 1000000000: input should be less than"),
        ("methods", ["mic", "mic"], "methods: 'mic' stands twice in the list"),
        ("seed", 2**63, "seed = 9223372036854775808: input should be less than"),
        ("train", None, "train is empty: give it keys"),
        ("data.source.root", "", "data.source: root is empty: write a value or leave the key out"),
        ("network.weights", "", "network: weights is empty: write a value or leave the key out"),
        ("network.decoder", {"decoder_dropout": math.nan}, "decoder holds nan, which is no finite number"),
        ("data.source", {"format": "folders", "root": "d", "id_map": {"1": "car"}, "train": {"images": "i"}},
         "data.source.id_map.1.[key] = '1': input should be a valid integer"),
    ],
)  # fmt: skip
def test_the_sentence_names_key_value_and_fix(tmp_path: Path, key: str, value: Any, said: str) -> None:
    sentence = load(tmp_path, with_value(tuple(key.split(".")), value))
    assert isinstance(sentence, str)
    assert said in sentence


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("11-window-stride-above-window", "window_stride [128, 128] is larger than window [64, 64]"),
        ("17-params-that-crash-later", "train.darken.noise = inf"),
    ],
)
def test_the_cases_are_refused_at_load(shared: Path, case: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        load_params(shared / "cases" / case / "params.yaml")
    assert said in str(refused.value)


def test_a_change_below_what_is_no_block_is_one_sentence() -> None:
    params = load_params(ROOT / "params.yaml", {"train.darken.share": 0.25})  # darken: null there
    assert params.train.darken is not None
    assert params.train.darken.share == 0.25
    with pytest.raises(UserError, match=r"train.steps.more cannot be set: steps is no block of keys"):
        load_params(ROOT / "params.yaml", {"train.steps.more": 1})
