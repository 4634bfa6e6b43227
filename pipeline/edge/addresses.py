"""Addresses of streams and of videos on a web server, shown without what is secret in them."""

from __future__ import annotations

import re

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "srt", "rtmp")
_ADDRESS = re.compile(  # with a slash too few it is no path either, and holds a password
    rf"(?P<scheme>[a-z][a-z0-9+.-]+(?=://)|{'|'.join(SCHEMES)}):/+(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_HIDDEN = "***"
_LONGEST_NAME = 80


def is_address(text: str) -> bool:
    """Whether it begins as an address does, of whatever scheme."""
    return _ADDRESS.fullmatch(text) is not None


def scheme(address: str) -> str:
    """In small letters; "" for what is no address."""
    found = _ADDRESS.fullmatch(address)
    return found["scheme"].lower() if found else ""


def masked(address: str) -> str:
    """The address to print, log and write: user, password, query and parts such as user=admin are ***.

    Cameras' passwords hold any letter, so all up to the last @ counts as one. What is no address stays as it is.
    """
    found = _ADDRESS.fullmatch(address)
    if not found:
        return address
    rest, _, query = re.sub(r"[\x00-\x20\x7f]+", "", found["rest"]).partition("?")
    if "@" in query:  # a password with a question mark in it, or what only looks like one
        return f"{found['scheme'].lower()}://{_HIDDEN}"
    _, at, rest = rest.rpartition("@")
    rest, _, fragment = rest.partition("#")
    path = "/".join(_HIDDEN if re.search(r"=|%3d", part, re.IGNORECASE) else part for part in rest.split("/"))
    user = _HIDDEN + "@" if at else ""
    return f"{found['scheme'].lower()}://{user}{path}" + (f"?{_HIDDEN}" if query or fragment else "")


def file_name(address: str) -> str:
    """What its results are called: host and path, in letters that every file system takes, without a suffix."""
    shown = re.sub(r"\.[A-Za-z0-9]{2,4}$", "", masked(address).partition("://")[2].partition("?")[0])
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", shown).strip("_.-")
    return name[:_LONGEST_NAME].rstrip("_.-") or "stream"
