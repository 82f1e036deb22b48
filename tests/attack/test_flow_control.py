"""Floods: what a user keeps in memory and takes from others, however many requests he sends and whatever he configures."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from kafila.flowcontrol.fairness import Rejected
from kafila.flowcontrol.following import BIG
from kafila.registry import User
from tests.integration.api.conftest import PATIENCE, Api
from tests.integration.api.test_flow_control import SCHEMAS, classified, fair, flow_of, limited, schema, taken
from tests.waiting import eventually

__all__ = ["fair"]
CONFIGMAPS: Final = "/api/v1/namespaces/default/configmaps"
GROUPS: Final = ("editors", "system:authenticated")
ANNA: Final = User("anna", GROUPS)


def asking(api: Api, gone: list[Any]) -> asyncio.Task[None]:
    """A request as our server hands it on, with a way to say that its client has left."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": CONFIGMAPS,
        "query_string": b"",
        "headers": [],
        "state": {"user": ANNA, "lost": gone.append},
    }

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing is read before there is a seat")

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(f"nobody is there to be answered: {message}")

    return asyncio.create_task(api.app(scope, receive, send))


async def test_who_leaves_while_he_waits_frees_his_place(fair: Api) -> None:
    await limited(fair)
    held = taken(fair, ANNA, 1)
    queues = held.flow.level.queues
    for _ in range(100):  # the queue has room for two
        gone: list[Any] = []
        task = asking(fair, gone)
        await eventually(lambda gone=gone: bool(gone))
        gone[0]()
        async with asyncio.timeout(PATIENCE):
            await task
        assert gone[-1] is None
    assert queues.waiting == 0
    assert not queues.used
    held.leave(1.0)
    assert queues.is_idle


async def test_a_flood_fills_its_own_queues_and_no_more(fair: Api) -> None:
    """A thousand requests of one user wait in six of 128 queues of fifty; another user is served at once."""
    fairness = fair.app.fairness
    assert fairness is not None
    flood, quiet = flow_of(fair, ANNA), flow_of(fair, User("quiet", GROUPS))
    queues = flood.level.queues
    held = [seat for _ in range(queues.limit - 1) if (seat := fairness.begin(quiet, 0.0)) is not None]
    held += [taken(fair, ANNA, queues.limit - queues.seats_in_use)]
    turns = [asyncio.ensure_future(fairness.wait(flood)) for _ in range(1000)]
    await eventually(lambda: sum(turn.done() for turn in turns) >= 700)
    assert queues.waiting == 300
    assert len(queues.used) == len(flood.cards) == 6
    for seat in held:
        seat.leave(1.0)
    late = await fairness.wait(flow_of(fair, User("late", GROUPS)))
    assert late.is_taken
    assert queues.waiting > 250
    for turn in turns:
        turn.cancel()
    outcomes = await asyncio.gather(*turns, return_exceptions=True)
    assert sum(isinstance(outcome, Rejected) for outcome in outcomes) == 700


async def test_many_users_keep_no_more_than_they_have_under_way(fair: Api) -> None:
    fairness = fair.app.fairness
    assert fairness is not None
    for number in range(20_000):
        flow = flow_of(fair, User(f"user-{number}", GROUPS))
        seat = fairness.begin(flow, 0.0)
        assert seat is not None
        seat.leave(0.0)
    assert len(fairness.configuration._known) <= 4096
    assert len(fairness.configuration._flows) <= 8192
    assert not flow.level.queues.used


async def test_a_schema_with_very_many_rules_is_read_beside_the_event_loop(fair: Api) -> None:
    obj = schema("evil", "workload-low", ANNA)
    (rule,) = obj["spec"]["rules"]
    for number in range(5_000):  # an object may have no more than 100,000 values
        subject = {"kind": "User", "user": {"name": f"user-{number}"}}
        obj["spec"]["rules"].append({**rule, "subjects": [subject]})
    body = json.dumps(obj).encode()
    assert len(body) > BIG
    answer = await fair.post(SCHEMAS, body)
    assert answer.status_code == 201, answer.text
    fair.user = User("user-4999", GROUPS)
    async with asyncio.timeout(PATIENCE):
        while classified(fair, await fair.get(CONFIGMAPS)) != ("evil", "workload-low"):
            await asyncio.sleep(0.01)
    fair.user = User("user-x", GROUPS)
    assert classified(fair, await fair.get(CONFIGMAPS)) == ("global-default", "global-default")


async def test_what_takes_turns_is_served_in_the_end(fair: Api) -> None:
    """Many at once, each of which waits for others on its way: nothing is lost between the turns."""
    fair.user = ANNA
    answers = await asyncio.gather(*(fair.get(CONFIGMAPS) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    flow = flow_of(fair, ANNA)
    assert flow.executing == 0
    assert flow.level.queues.is_idle


async def test_who_is_cancelled_while_he_waits_frees_his_place(fair: Api) -> None:
    await limited(fair)
    fairness = fair.app.fairness
    assert fairness is not None
    held = taken(fair, ANNA, 1)
    waiting = [asyncio.ensure_future(fairness.wait(held.flow)) for _ in range(2)]
    await eventually(lambda: held.flow.level.queues.waiting == 2)
    held.leave(1.0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert held.flow.level.queues.is_idle
    assert held.flow.executing == 0
