"""Priority and fairness in front of the API: who is served, who waits, who is told to come again, and what says so."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest

from kafila.api.meta import build_shell
from kafila.api.seats import details
from kafila.core.values import Object
from kafila.flowcontrol import dumps
from kafila.flowcontrol.configuration import ClassifiedFlow
from kafila.flowcontrol.fairness import Fairness, Seat
from kafila.flowcontrol.following import Following
from kafila.reconcile.kubernetes.priority_and_fairness import PriorityAndFairness
from kafila.registry import SYSTEM_ADMIN, User
from kafila.registry.flowcontrol import ensure_flow_control
from tests.integration.api.conftest import PATIENCE, Api, configmap
from tests.waiting import eventually

CONFIGMAPS: Final = "/api/v1/namespaces/default/configmaps"
SCHEMAS: Final = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
LEVELS: Final = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations"
EDITORS: Final = "editors"
ANNA: Final = User("anna", (EDITORS, "system:authenticated"))
BERT: Final = User("bert", (EDITORS, "system:authenticated"))


@pytest.fixture
async def fair(api: Api) -> AsyncIterator[Api]:
    """Anna and Bert may do everything; the controller that maintains runs."""
    binding = {
        "metadata": {"name": EDITORS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": EDITORS}],
    }
    await api.made("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    await ensure_flow_control(api.registry)
    api.app.fairness = Fairness(600)
    Following(api.cache, api.app.fairness)
    controller = PriorityAndFairness(api.registry)
    await controller.start()
    yield api
    await controller.stop()


def fairness(api: Api) -> Fairness:
    assert api.app.fairness is not None
    return api.app.fairness


def flow_of(api: Api, user: User) -> ClassifiedFlow:
    found = fairness(api).configuration.known(user.name, user.groups).resources
    assert found is not None
    return found


def taken(api: Api, user: User, seats: int) -> Seat:
    """So many seats, as a request that goes on has them."""
    found = fairness(api).begin(flow_of(api, user), 0.0, seats)
    assert found is not None
    return found


async def test_a_request_that_is_over_waits_for_no_garbage_collector(
    fair: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seat knows its request, for the dumps: both go when it has been answered."""
    seen: list[weakref.ref[Seat]] = []
    begin = Fairness.begin

    def noticed(self: Fairness, *arguments: Any) -> Seat | None:
        found = begin(self, *arguments)
        if found is not None:
            seen.append(weakref.ref(found))
        return found

    monkeypatch.setattr(Fairness, "begin", noticed)
    gc.disable()
    try:
        assert (await fair.get(CONFIGMAPS)).status_code == 200
        assert (await fair.post(CONFIGMAPS, configmap("short"))).status_code == 201
    finally:
        gc.enable()
    assert len(seen) >= 2
    assert [each() for each in seen] == [None] * len(seen)


def level(name: str, shares: int, response: Object, **more: Any) -> Object:
    limited = {"nominalConcurrencyShares": shares, "limitResponse": response, **more}
    return {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}}


def schema(name: str, level: str, user: User, precedence: int = 500) -> Object:
    rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    subjects = [{"kind": "User", "user": {"name": user.name}}]
    return {
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": subjects, "resourceRules": [rule]}],
        },
    }


QUEUE: Final = {"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": 2}}


async def limited(api: Api, response: Object = QUEUE) -> None:
    """Anna has a level of her own with one seat."""
    await api.made(LEVELS, level("one", 1, response, borrowingLimitPercent=0))
    await api.made(SCHEMAS, schema("anna", "one", ANNA))
    await eventually(lambda: flow_of(api, ANNA).level.name == "one")
    flow_of(api, ANNA).level.queues.limit = 1


def classified(api: Api, answer: httpx.Response) -> tuple[str, str]:
    """Names of the FlowSchema and the level that an answer names."""
    names = []
    for resource, header in (
        ("flowschemas", "x-kubernetes-pf-flowschema-uid"),
        ("prioritylevelconfigurations", "x-kubernetes-pf-prioritylevel-uid"),
    ):
        objects = api.cache.resource(f"{resource}.flowcontrol.apiserver.k8s.io").entries()
        names.append(next((entry.key.name for entry in objects if entry.meta.uid == answer.headers[header]), ""))
    return names[0], names[1]


# -- classification ------------------------------------------------------------------------------------------------------


async def test_answers_say_how_a_request_was_classified(fair: Api) -> None:
    assert classified(fair, await fair.get(CONFIGMAPS)) == ("exempt", "exempt")
    fair.user = ANNA
    assert classified(fair, await fair.get(CONFIGMAPS)) == ("global-default", "global-default")
    assert classified(fair, await fair.get("/healthz")) == ("probes", "exempt")
    assert classified(fair, await fair.get("/version")) == ("global-default", "global-default")
    fair.user = User("nobody", ("system:authenticated",))
    refused = await fair.get(CONFIGMAPS)
    assert refused.status_code == 403
    assert classified(fair, refused) == ("global-default", "global-default")


async def test_streams_to_elsewhere_are_not_classified(fair: Api) -> None:
    answer = await fair.get("/api/v1/namespaces/default/pods/p/log")
    assert "x-kubernetes-pf-flowschema-uid" not in answer.headers


async def test_changes_count_at_once(fair: Api) -> None:
    fair.user = ANNA

    async def becomes(name: str, level: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while classified(fair, await fair.get(CONFIGMAPS)) != (name, level):
                await asyncio.sleep(0)

    await fair.made(SCHEMAS, schema("mine", "workload-high", ANNA))
    await becomes("mine", "workload-high")
    await fair.patch(f"{SCHEMAS}/mine", {"spec": {"matchingPrecedence": 9950}})
    await becomes("global-default", "global-default")
    await fair.patch(f"{SCHEMAS}/mine", {"spec": {"matchingPrecedence": 9850}})
    await becomes("mine", "workload-high")
    await fair.delete(f"{SCHEMAS}/mine")
    await becomes("global-default", "global-default")


# -- seats ---------------------------------------------------------------------------------------------------------------


async def test_whoever_finds_no_seat_waits_for_one(fair: Api) -> None:
    await limited(fair)
    held = taken(fair, ANNA, 1)
    fair.user = ANNA
    asking = asyncio.create_task(fair.get(CONFIGMAPS))
    await eventually(lambda: held.flow.level.queues.waiting == 1)
    held.leave(1.0)
    answer = await asking
    assert answer.status_code == 200
    assert classified(fair, answer) == ("anna", "one")
    assert held.flow.level.queues.is_idle


async def test_others_do_not_wait_for_them(fair: Api) -> None:
    await limited(fair)
    held = taken(fair, ANNA, 1)
    fair.user = BERT
    assert (await fair.get(CONFIGMAPS)).status_code == 200
    held.leave(1.0)


@pytest.mark.parametrize("response", [QUEUE, {"type": "Reject"}], ids=["queue full", "no queue"])
async def test_whoever_cannot_wait_is_told_to_come_again(fair: Api, response: Object) -> None:
    await limited(fair, response)
    held = taken(fair, ANNA, 1)
    fair.user = ANNA
    waiting = [asyncio.create_task(fair.get(CONFIGMAPS)) for _ in range(2 if response is QUEUE else 0)]
    await eventually(lambda: held.flow.level.queues.waiting == len(waiting))
    answer = await fair.post(CONFIGMAPS, configmap("never"))
    assert (answer.status_code, answer.text) == (429, "Too many requests, please try again later.\n")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert classified(fair, answer) == ("anna", "one")
    held.leave(1.0)
    assert [(await each).status_code for each in waiting] == [200] * len(waiting)
    assert (await fair.get(f"{CONFIGMAPS}/never")).status_code == 404
    rejected = flow_of(fair, ANNA).schema.counts.rejected
    assert rejected == {"queue-full" if waiting else "concurrency-limit": 1}
    metrics = (await fair.get("/metrics")).text
    assert 'apiserver_request_terminations_total{code="429"' in metrics


async def test_whoever_waits_too_long_is_told_too(fair: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafila.flowcontrol.fairness.QUEUE_WAIT", 0.0)
    monkeypatch.setattr("kafila.flowcontrol.fairness.SWEEP", 0.001)
    await limited(fair)
    held = taken(fair, ANNA, 1)
    fair.user = ANNA
    assert (await fair.get(CONFIGMAPS)).status_code == 429
    assert flow_of(fair, ANNA).schema.counts.rejected == {"time-out": 1}
    held.leave(1.0)
    assert held.flow.level.queues.is_idle


def cells(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return [[cell.strip() for cell in line.split(",")] for line in answer.text.splitlines()]


async def test_who_has_a_seat_and_who_waits_is_shown(fair: Api) -> None:
    fair.app.meta_routes = build_shell({}, dumps.pages(fairness(fair), details))
    await limited(fair)
    seat = taken(fair, ANNA, 1)
    fair.user = ANNA
    waiting = asyncio.create_task(fair.get(f"{CONFIGMAPS}/a,b"))
    await eventually(lambda: flow_of(fair, ANNA).level.queues.waiting == 1)
    fair.user = SYSTEM_ADMIN
    heading, *rows = cells(await fair.get(f"{dumps.PREFIX}dump_priority_levels"))
    assert heading[:6] == (
        ["PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests"]
    )
    assert ["one", "1", "false", "false", "1", "1"] in [row[:6] for row in rows]
    assert [row[0] for row in rows] == sorted(fairness(fair).configuration.levels)
    _, *rows = cells(await fair.get(f"{dumps.PREFIX}dump_queues"))
    (queue,) = (row for row in rows if row[0] == "one")
    assert (queue[1:5], queue[6:8]) == (["0", "1", "0", "0"], ["1", "1"])
    assert all(number.endswith("ss") for row in rows for number in (row[5], row[8]))
    heading, *rows = cells(await fair.get(f"{dumps.PREFIX}dump_requests?includeRequestDetails=1"))
    assert heading[10:] == ["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"]
    ours = [row for row in rows if row[0] == "one"]
    assert [row[1:5] for row in ours] == [["anna", "0", "0", "anna"], ["anna", "-1", "-1", "anna"]]
    assert ours[0][9] == "0001-01-01T00:00:00Z"
    assert ours[0][10:13] == ["anna", "get", f"{CONFIGMAPS}/a"]  # as there, what callers think up is not quoted
    assert [row[10:12] for row in rows if row[0] == "exempt"] == [["system:admin", "get"]]
    assert len(cells(await fair.get(f"{dumps.PREFIX}dump_requests"))[0]) == 10
    seat.leave(1.0)
    assert (await waiting).status_code == 404
    fair.user = BERT  # he may read everything; who may not read this path is refused
    assert (await fair.get(f"{dumps.PREFIX}dump_queues")).status_code == 200
    fair.user = User("eve", ("system:authenticated",))
    assert (await fair.get(f"{dumps.PREFIX}dump_queues")).status_code == 403
    fair.user = SYSTEM_ADMIN
    assert (await fair.get("/debug/pprof")).status_code == 404
    assert not [each for each in fairness(fair).under_way if each.about is not None]


async def test_a_watch_keeps_its_seat_until_it_has_begun(fair: Api) -> None:
    await limited(fair)
    fair.user = ANNA
    await fair.made(CONFIGMAPS, configmap("a"))
    stream = fair.watch(CONFIGMAPS)
    assert await stream.events(1) == [("ADDED", "a")]
    assert "x-kubernetes-pf-flowschema-uid" in stream.headers
    await eventually(lambda: flow_of(fair, ANNA).level.queues.seats_in_use == 0)
    assert (await fair.get(CONFIGMAPS)).status_code == 200
    await stream.leave()


async def test_whoever_sends_slowly_keeps_no_seat(fair: Api) -> None:
    await limited(fair)
    body, waited = asyncio.Queue[bytes](), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"metadata":'
        waited.set()
        yield await body.get()

    fair.user = ANNA
    content: Any = slowly()
    headers = {"content-type": "application/json"}
    sending = asyncio.create_task(fair.client.request("POST", CONFIGMAPS, content=content, headers=headers))
    counts = flow_of(fair, ANNA).schema.counts
    await waited.wait()
    await eventually(lambda: flow_of(fair, ANNA).level.queues.is_idle)
    assert (await fair.get(CONFIGMAPS)).status_code == 200
    body.put_nowait(b'{"name":"slow"}}')
    assert (await sending).status_code == 201
    assert counts.started == counts.ended == 2


async def test_lists_of_much_take_more_seats(fair: Api) -> None:
    fair.user = ANNA
    for number in range(4):
        await fair.made(CONFIGMAPS, configmap(f"big-{number}", x="y" * 100_000))
    held = taken(fair, BERT, flow_of(fair, BERT).level.queues.limit - 3)
    asking = asyncio.create_task(fair.get(CONFIGMAPS))
    await eventually(lambda: held.flow.level.queues.waiting == 1)
    held.leave(1.0)
    assert (await asking).status_code == 200


# -- what every server has -----------------------------------------------------------------------------------------------


async def dangling(api: Api, name: str) -> tuple[str, str, str] | None:
    for condition in ((await api.get(f"{SCHEMAS}/{name}")).json().get("status") or {}).get("conditions") or ():
        assert condition["type"] == "Dangling"
        return condition["status"], condition["reason"], condition["message"]
    return None


async def test_a_schema_says_when_its_level_is_not_there(fair: Api) -> None:
    await fair.made(SCHEMAS, schema("anna", "one", ANNA))
    about = 'This FlowSchema references the PriorityLevelConfiguration object named "one"'
    missing = ("True", "NotFound", f"{about} but there is no such object")
    found = ("False", "Found", f"{about} and it exists")
    await until(fair, "anna", missing)
    await fair.made(LEVELS, level("one", 1, QUEUE))
    await until(fair, "anna", found)
    await fair.delete(f"{LEVELS}/one")
    await until(fair, "anna", missing)


async def until(api: Api, name: str, wanted: tuple[str, str, str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await dangling(api, name) != wanted:
            await asyncio.sleep(0.001)


async def test_what_is_deleted_comes_back(fair: Api) -> None:
    for path in (f"{SCHEMAS}/catch-all", f"{SCHEMAS}/global-default", f"{LEVELS}/exempt", f"{LEVELS}/system"):
        was = (await fair.get(path)).json()
        await fair.delete(path)
        async with asyncio.timeout(PATIENCE):
            while (await fair.get(path)).status_code == 404:
                await asyncio.sleep(0.001)
        now = (await fair.get(path)).json()
        assert now["metadata"]["uid"] != was["metadata"]["uid"]
        assert now["spec"] == was["spec"]


async def test_what_a_user_changed_stays_when_he_says_so(fair: Api) -> None:
    keep = {"metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "false"}}}
    await fair.patch(f"{SCHEMAS}/service-accounts", {**keep, "spec": {"matchingPrecedence": 8000}})
    await fair.patch(f"{SCHEMAS}/global-default", {"spec": {"matchingPrecedence": 8000}})
    async with asyncio.timeout(PATIENCE):
        while (await fair.get(f"{SCHEMAS}/global-default")).json()["spec"]["matchingPrecedence"] != 9900:
            await asyncio.sleep(0.001)
    assert (await fair.get(f"{SCHEMAS}/service-accounts")).json()["spec"]["matchingPrecedence"] == 8000


@pytest.mark.parametrize(
    ("path", "change", "text"),
    [
        (f"{SCHEMAS}/exempt", {"matchingPrecedence": 2}, "spec of 'exempt' must equal the fixed value"),
        (
            f"{LEVELS}/catch-all",
            {"limited": {"nominalConcurrencyShares": 6}},
            "spec of 'catch-all' must equal the fixed value",
        ),
    ],
    ids=["schema", "level"],
)
async def test_what_is_mandatory_cannot_be_changed(fair: Api, path: str, change: Object, text: str) -> None:
    answer = await fair.patch(path, {"spec": change})
    assert answer.status_code == 422
    assert text in answer.json()["message"]


async def test_seats_of_exempt_requests_can_be(fair: Api) -> None:
    answer = await fair.patch(f"{LEVELS}/exempt", {"spec": {"exempt": {"nominalConcurrencyShares": 10}}})
    assert answer.status_code == 200
    await eventually(lambda: fairness(fair).configuration.levels["exempt"].limits.nominal == 24)
