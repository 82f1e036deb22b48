"""What is stored of Events, and what comes back."""

from __future__ import annotations

import random

import orjson
import pytest

from kafila.store.packing import LARGEST, pack, unpack

EVENT = (
    b'{"metadata":{"name":"web.18ec7c5611cdf4fd","namespace":"shop","uid":"9df95cb1-86bb-453a-943c-003b9db89bac"},'
    b'"involvedObject":{"kind":"Deployment","namespace":"shop","name":"web","apiVersion":"apps/v1"},'
    b'"reason":"ScheduleBindingSucceed","type":"Normal","count":1}'
)
STORED = bytes.fromhex(
    "01c39a8ecb539380e93735d93cd9d4ccd0303925cd242d052d988a33f20be00164999266699a9c64a86b619694a46b626a9ca86b6962"
    "9cac6b60609c6499926461999498ac842f0e706663a8350877e12a116a7137f783713610e1a10000"
)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


BODIES = {
    "an event": EVENT,
    "nothing": b"",
    "one byte": b"1",
    "not of ours": orjson.dumps({"reason": "Fällt", "message": "ö" * 300}),
    "what has nothing in common": b"{" + noise(500),
    "the largest that is packed": b"{" + b" " * (LARGEST - 1),
    "a larger one": b"{" + b" " * LARGEST,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_was_put_in_comes_out(body: bytes) -> None:
    assert unpack(pack(body)) == body
    assert len(pack(body)) <= len(body)


def test_what_is_in_databases_stays_readable() -> None:
    assert unpack(STORED) == EVENT  # red: the dictionary was changed, and no Event that is stored can be read any more
    assert unpack(EVENT) == EVENT  # as it was stored before


def test_large_ones_are_left_to_postgresql() -> None:
    assert pack(BODIES["a larger one"]) == BODIES["a larger one"]
