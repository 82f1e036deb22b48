"""What must hold whichever process is asked: namespaces that end stay empty, and nothing is given away twice."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest

from tests.waiting import eventually

from .processes import Answer, ControlPlane

pytestmark = pytest.mark.asyncio(loop_scope="package")


def service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "nodePort": spec.pop("node_port", 0)}]
    return {"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": ports, **spec}}


def given(answer: Answer) -> tuple[str, int]:
    spec = answer.body["spec"]
    return spec["clusterIP"], spec["ports"][0]["nodePort"]


async def test_nothing_is_created_in_a_namespace_that_ends(plane: ControlPlane) -> None:
    """Objects are created through both processes until the namespace is gone; it is deleted through one of them."""
    names = [f"ends{i}" for i in range(3)]
    for name in names:
        await plane.make_namespace(name)
    created = Counter[str]()
    refusals = Counter[str]()
    numbers = itertools.count()

    async def create(namespace: str, through: int) -> None:
        while True:
            body = {"metadata": {"name": f"c{next(numbers)}"}}
            path = f"/api/v1/namespaces/{namespace}/configmaps"
            answer = await plane.api[through].request("POST", path, body)
            if answer.status == 201:
                created[namespace] += 1
                continue
            refusals[answer.body["reason"]] += 1
            if answer.status == 404:
                return
            assert answer.body["details"]["causes"][0]["reason"] == "NamespaceTerminating", answer

    async def delete(namespace: str, through: int) -> None:
        await eventually(lambda: created[namespace] >= 20, "some objects")
        assert (await plane.api[through].request("DELETE", f"/api/v1/namespaces/{namespace}")).status == 200

    work = [create(name, through) for name in names for through in (0, 0, 1, 1)]
    await asyncio.wait_for(asyncio.gather(*work, *(delete(name, i % 2) for i, name in enumerate(names))), 90)
    assert refusals.keys() == {"Forbidden", "NotFound"}
    rows, objects = await plane.log()
    assert not [found.key for found in objects if found.key.namespace in names or found.key.name in names]
    for name in names:
        ends = [row.revision for row in rows if row.key == ("namespaces", "", name)]
        inside = [row for row in rows if row.key.namespace == name]
        assert max(row.revision for row in inside) < ends[-1], "written after the namespace was gone"
        marked = ends[1]  # created, marked, finalized, …
        assert not [row.key for row in inside if row.revision > marked and not row.previous and not row.deleted]
        assert sum(not row.previous for row in inside if row.key.resource == "configmaps") == created[name]


async def test_no_address_and_no_port_is_given_twice(plane: ControlPlane) -> None:
    await plane.make_namespace("services")
    path = "/api/v1/namespaces/services/services"
    answers = await asyncio.gather(
        *(plane.api[number % 2].request("POST", path, service(f"s{number}")) for number in range(200))
    )
    assert Counter(answer.status for answer in answers) == {201: 200}, [a for a in answers if a.status != 201][:3]
    addresses, ports = zip(*map(given, answers), strict=True)
    assert len(set(addresses)) == len(set(ports)) == 200


async def test_one_of_many_gets_the_address_that_all_ask_for(plane: ControlPlane) -> None:
    await plane.make_namespace("address")
    path = "/api/v1/namespaces/address/services"
    for round_, wanted in enumerate(({"clusterIP": "10.96.0.77"}, {"node_port": 30077})):
        for turn in range(3):  # the one who has it gives it back, through the other process
            answers = await asyncio.gather(
                *(
                    plane.api[number % 2].request("POST", path, service(f"s{round_}-{turn}-{number}", **wanted))
                    for number in range(8)
                )
            )
            winners = [number for number, answer in enumerate(answers) if answer.status == 201]
            assert len(winners) == 1, answers
            assert {answer.status for answer in answers} == {201, 422}, {a.status: a.body for a in answers}
            loser = plane.api[(winners[0] + 1) % 2]
            name = answers[winners[0]].body["metadata"]["name"]
            assert (await loser.request("DELETE", f"{path}/{name}")).status == 200


async def test_one_of_many_creates(plane: ControlPlane) -> None:
    """Creates of one name and updates at one revision, through both processes: exactly one is carried out."""
    await plane.make_namespace("once")
    path = "/api/v1/namespaces/once/configmaps"
    for turn in range(10):
        body = {"metadata": {"name": f"c{turn}"}, "data": {"text": "0"}}
        answers = await asyncio.gather(*(plane.api[n % 2].request("POST", path, body) for n in range(6)))
        assert Counter(answer.status for answer in answers) == {201: 1, 409: 5}
        current = next(answer for answer in answers if answer.status == 201).body
        bodies = [{**current, "data": {"text": f"{n + 1}"}} for n in range(6)]
        answers = await asyncio.gather(
            *(plane.api[n % 2].request("PUT", f"{path}/c{turn}", body) for n, body in enumerate(bodies))
        )
        assert Counter(answer.status for answer in answers) == {200: 1, 409: 5}
        winner = next(answer for answer in answers if answer.status == 200).body
        for server in plane.api:
            assert (await server.request("GET", f"{path}/c{turn}")).body == winner
