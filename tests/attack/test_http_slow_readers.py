"""Many who ask for much and do not read: it is not kept for each of them, and they lose their connection."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterator

import pytest

from tests.waiting import wait_until

from .front import Front, front

MB = 1 << 20
CLIENTS = 60
OBJECTS, SIZE = 24, 900_000
LIST = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def full() -> Iterator[Front]:
    """With a list of 20 MB."""
    with front("--request-timeout", "5") as found:
        for number in range(OBJECTS):
            body = {"metadata": {"name": f"big{number}"}, "data": {"a": chr(97 + number) * SIZE}}
            sent = json.dumps(body).encode()
            assert found.as_admin("POST", LIST, sent, **{"Content-Type": "application/json"})[0] == 201
        yield found
        found.process.kill()  # who still waits for his list is not waited for


def big(answer: bytes) -> dict[str, str]:
    """Name and text of each; the CA that every namespace has is none of them."""
    items = json.loads(answer)["items"]
    return {item["metadata"]["name"]: item["data"]["a"] for item in items if item["metadata"]["name"].startswith("big")}


@pytest.mark.parametrize("accept", ["application/json", "application/vnd.kubernetes.protobuf"])
def test_what_nobody_reads_is_not_kept_for_everybody(full: Front, accept: str) -> None:
    asked = f"GET {LIST} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n".encode()
    ended = full.refused("slow_reader")
    before = full.forget_peak()
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(full.admin()) for _ in range(CLIENTS)]
        for stream in streams:
            stream.sendall(asked)
        assert len(big(full.as_admin("GET", LIST)[1])) == OBJECTS
        wait_until(lambda: full.refused("slow_reader") >= ended + (CLIENTS if accept.endswith("json") else 1))
    assert full.memory() < before + 300 * MB


def test_a_list_that_is_made_while_it_is_read_is_whole(full: Front) -> None:
    plain = full.as_admin("GET", LIST)[1]
    items = big(plain)
    assert all(items[f"big{number}"] == chr(97 + number) * SIZE for number in range(OBJECTS))
    assert gzip.decompress(full.as_admin("GET", LIST, **{"Accept-Encoding": "gzip"})[1]) == plain
