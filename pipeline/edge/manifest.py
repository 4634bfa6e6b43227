"""The manifest: what an .onnx file says of itself, in its metadata key `mic_adapt` and as .json beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.edge.classes import CLASSES, NUM_CLASSES, SegClass
from pipeline.edge.errors import BadModel

SCHEMA_VERSION = 1
METADATA_KEY = "mic_adapt"


@dataclass(frozen=True)
class Manifest:
    """A checked manifest; `raw` is the whole JSON object, the properties are its often used parts."""

    raw: dict[str, Any]

    @classmethod
    def from_json(cls, text: str, where: str = "the manifest") -> Manifest:
        """Parse and check; raises BadModel naming the key at fault. `where` is the file for the message."""
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise BadModel(f"{where}: the manifest is not JSON ({error}); export the model again.") from None
        return cls.from_dict(raw, where)

    @classmethod
    def from_dict(cls, raw: object, where: str = "the manifest") -> Manifest:
        """Check a manifest already parsed, or just built by export."""
        if not isinstance(raw, dict):
            raise BadModel(f"{where}: the manifest is not a JSON object; export the model again.")
        version = raw.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise BadModel(
                f"{where}: manifest schema {version} is newer than this mic-adapt's {SCHEMA_VERSION}; "
                "update mic-adapt."
            )
        for key, holds, wanted in _RULES:
            value = _look_up(raw, key, where, optional=key in _OPTIONAL)
            if not holds(value):
                shown = json.dumps(value, default=str)
                shown = shown if len(shown) <= 60 else shown[:57] + "..."
                raise BadModel(
                    f"{where}: manifest key {key} is {shown}, not {wanted}; export the model again."
                )
        return cls(raw)

    def to_json(self) -> str:
        """The text that is stored in the file and beside it."""
        return json.dumps(self.raw, indent=2, ensure_ascii=False) + "\n"

    @property
    def name(self) -> str:
        return self.raw["name"]

    @property
    def method(self) -> str:
        return self.raw["method"]

    @property
    def seed(self) -> int:
        return self.raw["seed"]

    @property
    def created(self) -> str:
        return self.raw["created"]

    @property
    def network(self) -> dict[str, Any]:
        return self.raw["network"]

    @property
    def classes(self) -> tuple[SegClass, ...]:
        return tuple(
            SegClass(c["id"], c["name"], tuple(c["rgb"]), tuple(c["safe_rgb"])) for c in self.raw["classes"]
        )

    @property
    def trained_classes(self) -> tuple[int, ...]:
        """Ids that occurred in the source labels; the network has never seen the others."""
        return tuple(self.raw["trained_classes"])

    @property
    def stride(self) -> int:
        return self.raw["input"]["stride"]

    @property
    def training_size(self) -> tuple[int, int]:
        """(height, width) that pictures are fitted to."""
        height, width = self.raw["input"]["training_size"]
        return height, width

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """(height, width) that every picture is padded to; None where any multiple of the stride will do."""
        size = self.raw["input"].get("fixed_size")
        return None if size is None else (size[0], size[1])

    @property
    def metrics(self) -> dict[str, dict[str, Any] | None]:
        """Scores on "source" and "target" validation pictures; None where there were no labels."""
        return self.raw["metrics"]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Target conditions that the model was adapted to."""
        return tuple(self.raw["conditions"])

    @property
    def source_format(self) -> str | None:
        """Format of the labelled pictures, as params.yaml calls it ("scenes": drawn); None in older manifests."""
        return self.raw.get("source_format")

    @property
    def parity(self) -> dict[str, Any] | None:
        return self.raw["parity"]

    @property
    def quantisation(self) -> dict[str, Any] | None:
        return self.raw["quantisation"]

    @property
    def hashes(self) -> dict[str, str | None]:
        return self.raw["hashes"]

    @property
    def sample(self) -> dict[str, Any] | None:
        """The parity sample (pipeline/edge/sample.py); None where the manifest holds none."""
        return self.raw.get("sample")

    @property
    def licences(self) -> dict[str, Any]:
        return self.raw["licences"]

    @property
    def intended_use(self) -> str:
        return self.raw["intended_use"]

    @property
    def known_failures(self) -> tuple[str, ...]:
        return tuple(self.raw["known_failures"])


def _look_up(raw: dict[str, Any], key: str, where: str, optional: bool) -> Any:
    value: Any = raw
    for part in key.split("."):
        if optional and isinstance(value, dict) and part not in value:
            return None
        if not isinstance(value, dict) or part not in value:
            raise BadModel(f"{where}: manifest key {key} is missing; export the model again.")
        value = value[part]
    return value


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(_text(item) for item in value)


def _object_or_null(value: object) -> bool:
    return value is None or isinstance(value, dict)


def _sample(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict):
        return False
    agreement = value.get("agreement")
    share = isinstance(agreement, int | float) and not isinstance(agreement, bool) and 0 <= agreement <= 1
    ties = _text(value.get("ties", "absent in older files"))
    return share and ties and all(_text(value.get(key)) for key in ("image", "classes", "confidence"))


def _text_or_null(value: object) -> bool:
    return value is None or _text(value)


def _date(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _size(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_count(side) and side > 0 for side in value)


def _size_or_null(value: object) -> bool:
    return value is None or _size(value)


def _stride(value: object) -> bool:
    return _count(value) and isinstance(value, int) and value > 0 and value % 4 == 0


def _colour(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_count(v) and v <= 255 for v in value)


def _class_table(value: object) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(c, dict) and _colour(c.get("rgb")) and _colour(c.get("safe_rgb")) for c in value)
        and [(c.get("id"), c.get("name")) for c in value] == [(c.id, c.name) for c in CLASSES]
    )


def _class_ids(value: object) -> bool:
    return isinstance(value, list) and all(_count(i) and i < NUM_CLASSES for i in value)


def _exactly(wanted: object) -> tuple[Callable[[object], bool], str]:
    return (lambda value: type(value) is type(wanted) and value == wanted), json.dumps(wanted)


# Older manifests lack these; they read as null.
_OPTIONAL = frozenset({"hashes.manifest", "inference", "input.fixed_size", "sample", "source_format"})

# (key, check, what it should be); further keys are allowed, so that a later minor addition stays readable.
_RULES: tuple[tuple[str, Callable[[object], bool], str], ...] = (
    ("schema_version", *_exactly(SCHEMA_VERSION)),
    ("name", _text, "a text"),
    ("method", _text, "a text"),
    ("seed", _count, "a whole number"),
    ("created", _date, "an ISO date"),
    ("network.architecture", _text, "a text"),
    ("network.encoder", _text, "a text"),
    ("network.parameters", _count, "a whole number"),
    ("classes", _class_table, "the 19 classes with id, name, rgb and safe_rgb in train-id order"),
    ("trained_classes", _class_ids, f"a list of class ids below {NUM_CLASSES}"),
    ("input.name", *_exactly("image")),
    ("input.layout", *_exactly("NHWC")),
    ("input.dtype", *_exactly("uint8")),
    ("input.colour", *_exactly("RGB")),
    ("input.stride", _stride, "a positive multiple of 4"),
    ("input.training_size", _size, "[height, width] in pixels"),
    ("input.fixed_size", _size_or_null, "[height, width] in pixels or null"),
    ("input.resize", _text, "a text"),
    ("input.pad", _text, "a text"),
    ("output.classes", _text, "a text"),
    ("output.confidence", _text, "a text"),
    ("inference", _object_or_null, "an object or null"),
    ("metrics.source", _object_or_null, "an object or null"),
    ("metrics.target", _object_or_null, "an object or null"),
    ("conditions", _texts, "a list of texts"),
    ("source_format", _text_or_null, "a text or null"),
    ("parity", _object_or_null, "an object or null"),
    ("quantisation", _object_or_null, "an object or null"),
    ("hashes.onnx", _text_or_null, "a text or null"),
    ("hashes.manifest", _text_or_null, "a text or null"),
    ("hashes.params", _text_or_null, "a text or null"),
    ("hashes.data_index", _text_or_null, "a text or null"),
    ("hashes.git_commit", _text_or_null, "a text or null"),
    ("sample", _sample, "null or image, classes, confidence and ties as texts and agreement in 0..1"),
    ("licences.code", _text, "a text"),
    ("licences.weights", _text, "a text"),
    ("licences.data", _texts, "a list of texts"),
    ("intended_use", _text, "a text"),
    ("known_failures", _texts, "a list of texts"),
)
