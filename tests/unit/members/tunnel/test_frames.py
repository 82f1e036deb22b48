"""Frames as bytes, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.members.tunnel.frames import (
    MOST_DATA,
    MOST_REASON,
    WINDOW,
    Frame,
    Kind,
    ProtocolError,
    close,
    decode,
    encode,
    window,
)

NUMBERS = st.integers(1, 2**32 - 1)


@given(NUMBERS, st.binary(min_size=1, max_size=MOST_DATA), st.integers(1, WINDOW), st.text())
def test_what_is_encoded_is_decoded(number: int, data: bytes, count: int, reason: str) -> None:
    for frame in (Frame(Kind.OPEN, number), Frame(Kind.OPENED, number), Frame(Kind.DATA, number, data)):
        assert decode(encode(frame)) == frame
    assert decode(encode(window(number, count))).granted == count
    shown = decode(encode(close(number, reason))).reason
    assert len(shown.encode()) <= MOST_REASON + 2  # half a letter at its end is shown as one
    if len(reason.encode("utf-8", "replace")) < MOST_REASON:
        assert shown == reason.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "a frame without a head"),
        (b"\x01\0\0\0", "a frame without a head"),
        (b"\x09\0\0\0\x01", "a frame of kind 9"),
        (b"\x01\0\0\0\0", "a frame of stream 0"),
        (b"\x01\0\0\0\x01x", "a frame OPEN of 1 bytes"),
        (b"\x02\0\0\0\x01x", "a frame OPENED of 1 bytes"),
        (b"\x03\0\0\0\x01", "a frame DATA of 0 bytes"),
        (b"\x03\0\0\0\x01" + b"x" * (MOST_DATA + 1), "a frame DATA of 16385 bytes"),
        (b"\x04\0\0\0\x01\0\0\0\0", "a frame WINDOW of 4 bytes"),
        (b"\x04\0\0\0\x01\xff\xff\xff\xff", "a frame WINDOW of 4 bytes"),
        (b"\x04\0\0\0\x01\x01", "a frame WINDOW of 1 bytes"),
        (b"\x05\0\0\0\x01" + b"x" * (MOST_REASON + 1), "a frame CLOSE of 513 bytes"),
    ],
)
def test_what_is_no_frame(message: bytes, why: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        decode(message)
    assert str(raised.value) == why


@given(st.binary(max_size=64))
def test_whatever_comes_is_a_frame_or_refused(message: bytes) -> None:
    try:
        frame = decode(message)
    except ProtocolError:
        return
    assert encode(frame) == message
