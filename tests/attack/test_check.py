"""A member that refuses to list some kinds, or all, to ``kafila check``."""

from __future__ import annotations

import asyncio

import orjson

from kafila.cli.check import _Looking
from kafila.members.client import MemberClient
from tests.attack.members import Hostile, answer

MEMBER = "/apis/cluster.karmada.io/v1alpha1/clusters/m1/proxy"
MAPS = {"kind": "ConfigMapList", "items": [{"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}]}
KINDS = [f"kind{number}" for number in range(12)]
ENABLED = [
    *({"groupVersion": "example.com/v1", "resources": [{"kind": kind.capitalize(), "name": kind}]} for kind in KINDS),
    {"groupVersion": "v1", "resources": [{"kind": "ConfigMap", "name": "configmaps"}]},
]
M1 = {"metadata": {"name": "m1"}, "status": {"apiEnablements": ENABLED}}


def refusal(kind: str, code: int) -> bytes:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": f"no {kind}"}
    return answer(orjson.dumps(status), f"{code} No")


async def looked(member: Hostile, **refused: int) -> tuple[set[tuple[str, str]], list[tuple[str, str]]]:
    """What could be listed, and what is said of the rest."""
    for kind in KINDS:
        path = f"{MEMBER}/apis/example.com/v1/{kind}"
        listed = answer(orjson.dumps({"kind": "List", "items": []}))
        member.answers[path] = refusal(kind, refused[kind]) if kind in refused else listed
    member.answers[f"{MEMBER}/api/v1/configmaps"] = answer(orjson.dumps(MAPS))
    client = MemberClient("kafila", member.endpoint)
    try:
        looking = _Looking(client, frozenset())
        held = await looking._held(M1, asyncio.Semaphore(1))
    finally:
        await client.close()
    return held.listed, [tuple(each) for each in looking.unseen]


async def test_a_refusal_of_one_kind_is_said_of_that_kind_only(member: Hostile) -> None:
    listed, unseen = await looked(member, kind3=400, kind4=405)
    assert unseen == [("m1", "kind3.example.com: no kind3")]
    assert ("", "ConfigMap") in listed
    assert ("example.com", "Kind3") not in listed  # nothing of it is missing there
    assert len(listed) == 11


async def test_many_refusals_are_counted(member: Hostile) -> None:
    _, unseen = await looked(member, **dict.fromkeys(KINDS, 400))
    assert len(unseen) == 11
    assert unseen[-1] == ("m1", "2 more kinds are refused")


async def test_a_member_that_is_away_is_said_once(member: Hostile) -> None:
    _, unseen = await looked(member, **dict.fromkeys(KINDS, 503))
    assert unseen == [("m1", "no kind0")]
