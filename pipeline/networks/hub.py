"""Encoder weights by name: timm's and smp's repositories on the Hugging Face hub, pinned after the first time."""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from segmentation_models_pytorch.encoders import encoders
from timm.models import get_pretrained_cfg

from pipeline.edge.errors import UserError
from pipeline.networks.weights import file_sha256
from pipeline.run.files import replacing

LOCK = Path("weights.lock")
FILE = "model.safetensors"


def hub_weights(encoder: str, name: str, lock: Path = LOCK) -> Path:
    """The file of the weights `name` (`timm`, or one of smp's) of an encoder, fetched once into the hub's cache.

    `lock` keeps the checksum of the first time; commit it, and every machine trains from the same weights.

    Raises:
        UserError: the encoder has no such weights, the hub cannot be reached or does not give them, or they are not
            those of the first time.
    """
    repository, revision = _repository(encoder, name)
    path = _fetch(repository, revision)
    pins = _read(lock)
    found = file_sha256(path)
    if pins.setdefault(repository, found) != found:
        raise UserError(
            f"{lock}: {repository} had sha256 {pins[repository]} when it was first used and has {found} now: take its "
            "line out to train from the new weights, or set network.weights to a file that you have of the old ones"
        )
    _write(lock, pins)
    return path


def _repository(encoder: str, name: str) -> tuple[str, str | None]:
    """Repository and commit (None: the newest) of the weights `name`."""
    if encoder.startswith("tu-"):
        config = get_pretrained_cfg(encoder[3:], allow_unregistered=False)
        repositories = {"timm": (config.hf_hub_id, None)} if config and config.hf_hub_id else {}
    else:
        settings = encoders[encoder]["pretrained_settings"]
        repositories = {key: (value["repo_id"], value["revision"]) for key, value in settings.items()}
    if name not in repositories:
        near = difflib.get_close_matches(name, repositories, n=1, cutoff=0.5)
        there = ", ".join(repositories) or "none on the hub"
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"there are {there}; a file needs its .safetensors or .pth"
        )
        raise UserError(f"network.weights {name!r} is unknown for network.encoder {encoder}: {hint}")
    return repositories[name]


def _fetch(repository: str, revision: str | None) -> Path:
    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    try:
        return Path(hf_hub_download(repository, FILE, revision=revision, endpoint=endpoint))
    except GatedRepoError:
        raise UserError(
            f"{endpoint}/{repository} asks for its terms to be accepted: accept them there and set HF_TOKEN, or set "
            "network.weights to a file"
        ) from None
    except LocalEntryNotFoundError:
        pass
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError):
        raise UserError(
            f"{endpoint}/{repository} has no {FILE}: set network.weights to a file, or to null for a random start"
        ) from None
    except OSError:  # every error of a connection is one
        pass
    raise UserError(
        f"{repository} is not in the cache and {endpoint} does not answer: run once with a connection, set HF_ENDPOINT "
        "to a mirror, or set network.weights to a file that you have"
    )


def _read(lock: Path) -> dict[str, str]:
    """Repository -> sha256."""
    if not lock.exists():
        return {}
    try:
        pins = json.loads(lock.read_text(encoding="utf-8"))
        assert all(isinstance(value, str) for value in pins.values())
    except (AssertionError, AttributeError, ValueError):
        raise UserError(f"{lock} is broken: restore it, or delete it to pin the weights anew") from None
    return pins


def _write(lock: Path, pins: dict[str, str]) -> None:
    text = json.dumps(pins, indent=2, sort_keys=True) + "\n"
    if lock.exists() and lock.read_text(encoding="utf-8") == text:
        return
    with replacing(lock, writer=str(os.getpid())) as beside:
        beside.write_text(text, encoding="utf-8")
