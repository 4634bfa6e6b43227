"""Addresses: nothing secret in them is shown, and each gives a file name that any system takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.edge.addresses import SCHEMES, file_name, is_address, masked, scheme

SECRET = "geheim7"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam/live", "rtsp://cam/live"),
        (f"rtsp://admin:{SECRET}@10.0.0.5:554/stream1", "rtsp://***@10.0.0.5:554/stream1"),
        (f"RTSP://{SECRET}@cam/live", "rtsp://***@cam/live"),
        (f"rtsp://admin:p@{SECRET}@cam/live", "rtsp://***@cam/live"),
        (f"rtsp://admin:p/{SECRET}@cam/live", "rtsp://***@cam/live"),
        (f"rtsp://admin:p?{SECRET}@cam/live", "rtsp://***"),
        (f"rtsp://admin:p#{SECRET}@cam/live", "rtsp://***@cam/live"),
        (f"https://cam/v.m3u8?token={SECRET}", "https://cam/v.m3u8?***"),
        (f"https://cam/v.m3u8#{SECRET}", "https://cam/v.m3u8?***"),
        (f"http://cam/v.mjpg?user=a&mail=b@{SECRET}", "http://***"),
        (f"rtsp://cam:554/user=admin_password={SECRET}_channel=1.sdp", "rtsp://cam:554/***"),
        (f"rtsp://cam/user%3Dadmin&pw%3D{SECRET}/1", "rtsp://cam/***/1"),
        (f"ftp://me:{SECRET}@host/a.mp4", "ftp://***@host/a.mp4"),
        ("http://[::1]:8000/a.mp4", "http://[::1]:8000/a.mp4"),
        (f"rtsp:/admin:{SECRET}@cam/live", "rtsp://***@cam/live"),
        (f"rtsp:///admin:{SECRET}@cam/live", "rtsp://***@cam/live"),
        ("photos/a.jpg", "photos/a.jpg"),
        ("photos:/a.jpg", "photos:/a.jpg"),
        ("C:/photos/a.jpg", "C:/photos/a.jpg"),
    ],
)
def test_secrets_are_not_shown(address: str, shown: str) -> None:
    assert masked(address) == shown
    assert masked(masked(address)) == masked(address)
    assert is_address(address) == ("photos" not in address)
    if is_address(address):
        for text in (masked(address), file_name(address)):
            assert SECRET not in text


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@given(
    st.sampled_from(SCHEMES),
    WORDS,
    WORDS,
    st.from_regex(r"[a-z][a-z0-9.-]{0,20}(/[a-zA-Z0-9._-]{0,9}){0,3}", fullmatch=True),
)
def test_whatever_a_password_holds_it_is_not_shown(kind: str, user: str, word: str, place: str) -> None:
    """The password stands between marks that no host has."""
    address = f"{kind}://{user}:\u00ab{word}\u00bb@{place}"
    for text in (masked(address), file_name(address)):
        assert "\u00ab" not in text
        assert "\u00bb" not in text
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,80}", file_name(address))
    assert not file_name(address).startswith((".", "-"))
    assert scheme(address) == kind


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://admin:x@10.0.0.5:554/stream1", "10.0.0.5_554_stream1"),
        ("http://host/clips/drive.mp4?t=1", "host_clips_drive"),
        ("udp://@:1234", "1234"),
        ("http://host/", "host"),
        ("http://host/../../etc/passwd", "host_.._.._etc_passwd"),
        ("srt://", "stream"),
        ("http://host/" + "a" * 300, "host_" + "a" * 75),
    ],
)
def test_names_of_results(address: str, name: str) -> None:
    assert file_name(address) == name
