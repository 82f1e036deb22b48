"""The estimator's messages, byte for byte as protobuf has them."""

from __future__ import annotations

import pytest

from kafila.placement.scheduler.estimate import Assumed
from kafila.placement.scheduler.estimator_wire import (
    answer,
    replicas_request,
    sets_request,
    unschedulable_request,
)


def block(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def test_only_a_name() -> None:
    assert replicas_request("m1", None, "default") == block(1, b"m1")


def test_requirements() -> None:
    requirements = {
        "namespace": "shop",
        "priorityClassName": "high",
        "resourceRequest": {"cpu": "100m"},
        "nodeClaim": {
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 5}],
            "hardNodeAffinity": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]
            },
        },
    }
    toleration = block(1, b"k") + block(2, b"Exists") + block(3, b"") + block(4, b"") + b"\x28\x05"
    term = block(1, block(1, b"zone") + block(2, b"In") + block(3, b"a") + block(3, b"b"))
    selector = block(1, term)
    claim = (
        block(1, selector)
        + block(2, block(1, b"disk") + block(2, b"ssd"))
        + block(3, toleration)
        + block(4, selector)
        + block(5, toleration)
    )
    cpu = block(1, b"cpu") + block(2, block(1, b"100m"))
    inner = block(1, claim) + block(2, cpu) + block(5, cpu) + block(3, b"shop") + block(4, b"high")
    made = replicas_request("m1", requirements, "default")
    assert made[:4] == block(1, b"m1")
    assert made[4:] == b"\x12" + bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7]) + inner


def test_components_and_assumed_work() -> None:
    component = {"name": "worker", "replicas": 3, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}}
    cpu = block(1, b"cpu") + block(2, block(1, b"1"))
    part = block(1, b"worker") + block(2, block(2, cpu) + block(4, cpu)) + b"\x18\x03"
    assumed = block(1, b"default") + block(2, part)
    made = sets_request("m1", [component], "default", [Assumed([component])])
    assert made == block(1, b"m1") + block(2, part) + block(3, b"default") + block(4, assumed)
    assert replicas_request("m1", {}, "default", [Assumed([component])]) == (
        block(1, b"m1") + block(2, b"") + block(3, assumed)
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", 0),
        (b"\x08\x07", 7),
        (b"\x08\xff\xff\xff\xff\x07", 2**31 - 1),
        (b"\x08" + b"\xff" * 9 + b"\x01", -1),
        (b"\x12\x02ab\x08\x03", 3),
        (b"\x11" + bytes(8) + b"\x1d" + bytes(4) + b"\x20\x09\x08\x03", 3),  # fields of a later version
    ],
)
def test_answers(message: bytes, expected: int) -> None:
    assert answer(message) == expected


@pytest.mark.parametrize("message", [b"\x08", b"\x08\xff", b"\x0d\x00\x00\x00\x00", b"<html>"])
def test_what_is_no_answer(message: bytes) -> None:
    with pytest.raises(ValueError, match="not a response of an estimator"):
        answer(message)


def test_unschedulable_replicas() -> None:
    resource = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "web", "uid": "x"}
    reference = block(1, b"apps/v1") + block(2, b"Deployment") + block(3, b"default") + block(4, b"web")
    asked = block(1, b"m1") + block(2, reference)
    assert unschedulable_request("m1", resource, 1e-6) == asked + b"\x18\xe8\x07", "nanoseconds"
    assert unschedulable_request("m1", resource, 0) == asked
