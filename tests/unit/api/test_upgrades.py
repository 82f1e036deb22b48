"""Room for connections that are switched to another protocol, and which headers go along."""

from __future__ import annotations

import contextlib

import pytest

from kafila.api import upgrades
from kafila.api.upgrades import Room
from kafila.authentication.credentials import websocket_token
from kafila.core.errors import StatusError
from kafila.members.proxy import request_headers, upgrade_headers


def test_one_user_has_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrades, "descriptors", lambda: 8)
    room = Room()
    with contextlib.ExitStack() as stack:
        for user, full in (("ann", False), ("ann", True), ("bob", False), ("bob", True)):
            stack.enter_context(room.place(user))
            assert _is_refused(room, user) is full
        assert _is_refused(room, "cid")
    with room.place("ann"), room.place("ann"):
        pass


def _is_refused(room: Room, user: str) -> bool:
    try:
        with room.place(user):
            return False
    except StatusError as error:
        return error.code == 429


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        ([b"v5.channel.k8s.io"], [b"v5.channel.k8s.io"]),
        ([b"a,b", b"c"], [b"a, b, c"]),
        ([b" base64url.bearer.authorization.k8s.io.abc ,a"], [b"a"]),
        ([b"base64url.bearer.authorization.k8s.io.abc"], []),
        ([b",,"], []),
        ([], []),
    ],
)
def test_a_token_among_protocols_stays_here(offered: list[bytes], kept: list[bytes]) -> None:
    given = [(b"sec-websocket-protocol", one) for one in offered]
    headers = upgrade_headers([*given, (b"connection", b"keep-alive, Upgrade"), (b"upgrade", b"x")], b"websocket")
    assert [value for name, value in headers if name == b"sec-websocket-protocol"] == kept
    assert [value for name, value in headers if name == b"connection"] == [b"Upgrade"]
    assert [value for name, value in headers if name == b"upgrade"] == [b"websocket"]
    headers = request_headers([*given, (b"upgrade", b"websocket")])  # which is none to switch, without Connection
    assert [value for name, value in headers if name == b"sec-websocket-protocol"] == kept


def test_a_token_is_shown_by_who_begins_a_websocket() -> None:
    offered = (b"sec-websocket-protocol", b"a, base64url.bearer.authorization.k8s.io.YWJj")
    upgrade, connection = (b"upgrade", b"WebSocket"), (b"connection", b"keep-alive, Upgrade")
    assert websocket_token([offered, upgrade, connection]) == "abc"
    assert websocket_token([offered, upgrade]) == ""
    assert websocket_token([offered, connection]) == ""
    assert websocket_token([offered, upgrade, (b"connection", b"keep-alive")]) == ""
