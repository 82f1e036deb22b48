"""Events: what is written of a request, whatever strangers put into it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.audit.events import Body, Event, completed, event_list, line, micro_time, source_addresses, user_agent
from kafila.audit.policy import Level

DOCUMENT = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "stage": "ResponseComplete",
    "objectRef": {"resource": "pods", "namespace": "default", "apiVersion": "v1"},
    "responseStatus": {"metadata": {}, "code": 201},
}


def body(value: Any) -> Body:
    return Body(json.dumps(value).encode(), json.loads)


def event(level: Level, sent: Any = None, answered: Any = None, **more: Any) -> Event:
    bodies = [None if value is None else body(value) for value in (sent, answered)]
    return Event(DOCUMENT, level, sent=bodies[0], answered=bodies[1], **more)


POD = {"kind": "Pod", "metadata": {"name": "web", "uid": "u", "resourceVersion": "7", "managedFields": [{}]}}


@pytest.mark.parametrize(
    ("level", "shown"),
    [(Level.METADATA, set()), (Level.REQUEST, {"requestObject"}), (Level.REQUEST_RESPONSE, {"requestObject", "responseObject"})],
)  # fmt: skip
def test_objects_are_shown_at_their_levels(level: Level, shown: set[str]) -> None:
    found = completed(event(level, POD, POD))
    assert found.keys() & {"requestObject", "responseObject"} == shown


def test_a_name_that_the_path_has_not_is_that_of_the_object() -> None:
    found = completed(event(Level.METADATA, POD, named=True))["objectRef"]
    named = {"name": "web", "uid": "u", "apiVersion": "v1", "resourceVersion": "7"}
    assert list(found.items()) == [("resource", "pods"), ("namespace", "default"), *named.items()]


def test_the_path_goes_before_the_object() -> None:
    sent = {"metadata": {"namespace": "other", "name": 7}}
    assert completed(event(Level.METADATA, sent, named=True))["objectRef"] == DOCUMENT["objectRef"]


def test_a_status_is_shown_without_its_object() -> None:
    status = {"kind": "Status", "status": "Failure", "message": "no", "reason": "Gone", "code": 410, "other": 1}
    found = completed(event(Level.METADATA, None, status))
    said = {"metadata": {}, "status": "Failure", "message": "no", "reason": "Gone", "code": 201}
    assert found["responseStatus"] == said


def test_managed_fields_are_left_out_of_objects_lists_and_tables() -> None:
    table = {"kind": "Table", "rows": [{"object": POD}, {"cells": []}]}
    found = completed(event(Level.REQUEST_RESPONSE, {"items": [POD, 1]}, table, omit_managed_fields=True))
    assert "managedFields" not in json.dumps(found)
    assert POD["metadata"]["managedFields"]  # what others hold is not changed


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 5000])
def test_what_cannot_be_read_is_left_out(raw: bytes) -> None:
    found = completed(Event(DOCUMENT, Level.REQUEST_RESPONSE, sent=Body(raw, json.loads), named=True))
    assert "requestObject" not in found


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["kind", "metadata", "items", "rows", "status", "message"]), anything), anything)
def test_an_event_is_one_line_and_says_what_it_said(sent: Any, text: Any) -> None:
    for omit in (False, True):
        known = {**DOCUMENT, "userAgent": text}
        found = Event(known, Level.REQUEST_RESPONSE, omit, body(sent), True, body(sent))
        written = line(completed(found))
        assert len(written.decode().splitlines()) == 1
        assert json.loads(written)["userAgent"] == text
        assert json.loads(written) == json.loads(json.dumps(completed(found)))


def test_lines_end_nowhere_else() -> None:
    text = "a\u2028b\u2029c\u0085d\ne\r\x7f\x1b[2J"
    written = line({"userAgent": text})
    assert written.decode().splitlines() == [written.decode().rstrip("\n")]
    assert written.isascii()
    assert json.loads(written) == {"userAgent": text}


def test_a_webhook_is_sent_a_list() -> None:
    found = json.loads(event_list([DOCUMENT]))
    assert (found["kind"], found["apiVersion"], len(found["items"])) == ("EventList", "audit.k8s.io/v1", 1)
    assert "kind" not in found["items"][0]


def test_a_user_agent_has_an_end() -> None:
    assert user_agent("x" * 1024) == "x" * 1024
    assert user_agent("x" * 5000) == "x" * 1024 + "...TRUNCATED"


@pytest.mark.parametrize(
    ("headers", "peer", "found"),
    [
        ({}, "192.0.2.1", ["192.0.2.1"]),
        ({}, "", []),
        ({b"x-forwarded-for": b"10.0.0.1, nonsense,10.0.0.2"}, "192.0.2.1", ["10.0.0.1", "10.0.0.2", "192.0.2.1"]),
        ({b"x-forwarded-for": b"192.0.2.1"}, "192.0.2.1", ["192.0.2.1"]),
        ({b"x-real-ip": b"10.0.0.3"}, "192.0.2.1", ["10.0.0.3", "192.0.2.1"]),
        ({b"x-forwarded-for": b"10.0.0.3", b"x-real-ip": b"10.0.0.3"}, "::1", ["10.0.0.3", "::1"]),
        ({b"x-real-ip": b"a\nb"}, "::ffff:192.0.2.1", ["192.0.2.1"]),
    ],
)
def test_addresses(headers: dict[bytes, bytes], peer: str, found: list[str]) -> None:
    assert source_addresses(headers, peer) == found


def test_times_have_microseconds() -> None:
    assert micro_time(0) == "1970-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("level", "shown"), [(Level.METADATA, False), (Level.REQUEST, False), (Level.REQUEST_RESPONSE, True)]
)
def test_what_a_refused_patch_led_to_is_shown_only_with_objects(level: Level, shown: bool) -> None:
    """Else the log would have a whole Secret, under a policy that wants no objects."""
    message = (
        ' "" is invalid: patch: Invalid value: "{\\"data\\":{\\"password\\":\\"c2VzYW1l!\\"}}": illegal base64 data'
    )
    details = {"causes": [{"reason": "FieldValueInvalid", "message": message, "field": "patch"}]}
    status = {"kind": "Status", "status": "Failure", "reason": "Invalid", "message": message, "details": details}
    found = completed(event(level, None, status))
    assert ("c2VzYW1l" in json.dumps(found["responseStatus"])) is shown
    assert found["responseStatus"]["message"].startswith(' "" is invalid: patch: Invalid value: ')
