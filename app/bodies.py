"""What a request may hold: the body of a call, checked and written anew, so that gradio sees nothing else.

gradio trusts bodies: a file record without `meta._type` skips its check of paths, a wrong type ends in a traceback.
So every value is taken by the type of the component that it is for, and whatever is not named here is refused.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from app.folder import Folder
from app.uploads import Upload
from pipeline.edge.errors import UserError

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TEXT_LENGTH = 200


@dataclass(frozen=True)
class Event:
    """One function of the page: its number and name, whether anyone may call it, and its input components."""

    id: int
    name: str
    public: bool
    selects: bool
    """Whether the call carries the number of the item that was picked."""
    inputs: tuple[dict[str, Any], ...]


class Events:
    """The functions of a page, from the configuration that gradio sends to browsers."""

    def __init__(self, config: dict[str, Any]) -> None:
        components = {component["id"]: component for component in config["components"]}
        self._components = frozenset(components)
        self.all = {
            d["id"]: Event(
                d["id"],
                str(d["api_name"]),
                d["api_visibility"] == "public",
                any(name == "select" for _, name in d["targets"]),
                tuple(components[i] for i in d["inputs"]),
            )
            for d in config["dependencies"]
        }

    def by_name(self, name: str) -> Event:
        """The public function of that name; raises UserError that lists the names."""
        for event in self.all.values():
            if event.public and event.name == name:
                return event
        names = ", ".join(f"/{event.name}" for event in self.all.values() if event.public)
        raise UserError(f"There is no such endpoint: use one of {names}.")

    def by_number(self, number: Any) -> Event:
        """The function of that number, public or not."""
        if not isinstance(number, int) or isinstance(number, bool) or number not in self.all:
            raise UserError("The request's fn_index is no function of this page: load the page again.")
        return self.all[number]

    def call(self, event: Event, body: dict[str, Any], folder: Folder) -> dict[str, Any]:
        """The body of a call of `event`, made of what was checked alone; raises UserError."""
        data = body.get("data")
        if not isinstance(data, list) or len(data) != len(event.inputs):
            raise UserError(f'The request needs a list "data" with {len(event.inputs)} values.')
        clean: dict[str, Any] = {
            "data": [
                _value(component, value, folder) for component, value in zip(event.inputs, data, strict=True)
            ]
        }
        session = body.get("session_hash")
        if session is not None:
            clean["session_hash"] = session_name(session)
        trigger = body.get("trigger_id")
        if isinstance(trigger, int) and trigger in self._components:
            clean["trigger_id"] = trigger
        if event.selects:
            clean["event_data"] = {"index": _index(body.get("event_data")), "value": None}
        return clean


def parse(body: bytes) -> dict[str, Any]:
    """A JSON object; raises UserError for anything else."""
    try:
        value = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise UserError("The request's body is not JSON that can be read: send a JSON object.") from None
    if not isinstance(value, dict):
        raise UserError("The request's body is JSON, but no object: send a JSON object.")
    return value


def session_name(value: Any) -> str:
    """A session's name; raises UserError."""
    if not isinstance(value, str) or not _SESSION.fullmatch(value):
        raise UserError("The request's session_hash is no name of 1 to 64 letters and digits.")
    return value


def _value(component: dict[str, Any], value: Any, folder: Folder) -> Any:
    """The value as its component may send it."""
    kind, props = component["type"], component["props"]
    label = props.get("label") or kind
    if kind == "state":
        return None  # gradio keeps these itself and never takes them from outside
    if kind == "image":
        if value is None:
            return None
        upload = Upload.from_record(value, folder)
        meta = {"_type": "gradio.FileData"}
        return {"path": str(upload.path), "orig_name": upload.name, "meta": meta}
    if kind in ("radio", "dropdown"):
        if isinstance(value, str) and len(value) <= _TEXT_LENGTH and value.isprintable():
            return value
        raise UserError(f"{label} is no text: send the name of a choice.")
    if kind == "checkbox":
        if isinstance(value, bool):
            return value
        raise UserError(f"{label} is neither true nor false.")
    if kind == "slider":
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
        if number and math.isfinite(value) and props["minimum"] <= value <= props["maximum"]:
            return value
        raise UserError(f"{label} is no number from {props['minimum']} to {props['maximum']}.")
    raise UserError(f"{label} takes no value from outside.")


def _index(event_data: Any) -> int:
    index = event_data.get("index") if isinstance(event_data, dict) else None
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < 1e6:
        return index
    raise UserError("The request does not say which item was picked.")


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
