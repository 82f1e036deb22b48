"""What a member may make us say of it: bounded, printable, and written now and then."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from kafila.core.cluster_conditions import PERMITTED, TROUBLES
from kafila.core.cluster_report import last_error
from kafila.members.conduct import MOST, Conduct
from kafila.members.reporting import conditions, with_conditions
from tests.integration.reconcile.conftest import Lab


def refusal(resource: str) -> bytes:
    return orjson.dumps({"message": f'User "u" cannot get resource "{resource}" in API group "x"'})


def test_what_is_remembered_of_its_answers_is_bounded() -> None:
    conduct = Conduct()
    for number in range(20 * MOST):
        conduct.answered(f"GET /{number}", 403, refusal(f"kind{number}"), 0.0)
        conduct.answered(f"GET /{number}", 429, b"", 0.0)
        conduct.answered(f"GET /{number}", 500, b"x" * 1000, 0.0)
    assert len(conduct.missing(0.0)) == MOST
    assert conduct.throttled(0.0) == MOST
    said = conditions(conduct, 0, 0.0)
    assert sum(len(found["message"]) for found in said.values() if found) < 5000


@pytest.mark.parametrize("resource", ["pods\x1b[2J", "pods\nREADY", "p" * 5000, "поды\u202e", 'a"b'])
def test_it_does_not_write_on_terminals(resource: str) -> None:
    conduct = Conduct()
    conduct.answered("GET /x", 403, refusal(resource), 0.0)
    found = conditions(conduct, 0, 0.0)[PERMITTED]
    assert found is None or found["message"].isprintable()
    for type in TROUBLES:
        told = {"type": type, "status": "False", "reason": "R", "message": f"m {resource} \x07"}
        assert last_error({"status": {"conditions": [told]}}).isprintable()


async def test_a_member_that_misbehaves_in_another_way_each_time_costs_few_writes() -> None:
    """Its Cluster is written once a probe at most, and its neighbours' are not."""
    lab = await Lab().start()
    try:
        await lab.join("m1", "m2")
        await lab.rest()
        connection = lab.controllers.member_manager.get("m1")
        assert connection is not None
        transport: Any = connection.client._transport
        app, probes = transport.app, 0

        async def changing(scope: Any, receive: Any, send: Any) -> None:
            nonlocal probes
            if scope["path"] == "/readyz":
                probes += 1
                for number in range(100):
                    connection.client.conduct.answered(
                        f"GET /{number}",
                        (403, 429, 500)[number % 3],
                        refusal(f"k{probes}x{number}"),
                        asyncio.get_running_loop().time(),
                    )
            await app(scope, receive, send)

        written: list[str] = []
        lab.registry.cache.listen("clusters.cluster.karmada.io", lambda event: written.append(event.key.name))
        transport.app = changing
        while probes <= 10:
            await asyncio.sleep(0.01)
        assert "m1" in written
        assert "m2" not in written
        assert len(written) <= probes
    finally:
        await lab.close()


def test_what_says_the_same_is_not_written_again() -> None:
    conduct = Conduct()
    conduct.answered("GET /x", 403, refusal("pods"), 0.0)
    first = with_conditions({}, conditions(conduct, 0, 0.0), 0.0, reword=False)
    assert with_conditions(first, conditions(conduct, 10_000, 0.0), 1.0, reword=False) is first
