"""`kafila.reconcile.karmada.member.execution`, without a member."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from kafila.core.errors import StatusError
from kafila.members.transport import Unreachable
from kafila.reconcile.karmada.member.execution import ExecutionController
from kafila.reconcile.karmada.member.object_watcher import MemberEvent

from .around_works import KEY, Around, in_member, work

Object = dict[str, Any]
Start = Callable[[Around], Awaitable[ExecutionController]]
ENDING: Object = {
    "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["karmada.io/execution-controller"]}
}


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    started: list[ExecutionController] = []

    async def start(around: Around) -> ExecutionController:
        controller = ExecutionController(around, lambda observe: around)
        controller.start()
        started.append(controller)
        return controller

    yield start
    for controller in started:
        await controller.stop()


async def test_a_work_is_applied_and_says_so(start: Start) -> None:
    around = Around(work())
    await start(around)
    await around.until("write status")
    assert around.did[0] == "apply"
    conditions = {each["type"]: each["status"] for each in around.works[KEY]["status"]["conditions"]}
    assert conditions == {"Applied": "True", "Dispatching": "True"}


async def test_a_refusal_of_the_member_is_the_works_condition(start: Start) -> None:
    around = Around(work())
    around.fails = StatusError(403, "Forbidden", "not here")
    await start(around)
    await around.until("write status")
    (applied,) = (each for each in around.works[KEY]["status"]["conditions"] if each["type"] == "Applied")
    assert (applied["status"], "not here" in applied["message"]) == ("False", True)
    assert "Warning SyncFailed on Deployment" in around.did


async def test_a_suspended_work_is_not_applied(start: Start) -> None:
    around = Around(work(suspendDispatching=True))
    await start(around)
    await around.until("write status")
    assert "apply" not in around.did


async def test_works_of_a_cluster_that_is_not_ready_wait_for_it(start: Start) -> None:
    around = Around(work())
    around.ready = False
    controller = await start(around)
    await around.until("write status")
    assert "apply" not in around.did
    around.ready = True
    controller.ready_changed(True)
    await around.until("apply")


async def test_a_member_that_is_away_is_tried_until_it_answers(start: Start) -> None:
    around = Around(work())
    around.fails = Unreachable("away", sent=False)
    controller = await start(around)
    await around.until("write status")
    assert len(controller.unreachable) == 1
    around.fails = None
    controller.reached()
    await around.until("Normal SyncSucceed on Deployment")
    await around.until("wake")


@pytest.mark.parametrize(
    ("ready", "leaving", "preserve", "did"),
    [
        (True, False, False, ["remove", "release"]),
        (True, False, True, ["preserve", "release"]),
        (False, True, False, ["leave behind", "release"]),
    ],
)
async def test_a_work_ends_with_its_copy(
    start: Start, ready: bool, leaving: bool, preserve: bool, did: list[str]
) -> None:
    around = Around(work(preserveResourcesOnDeletion=preserve, **ENDING))
    around.ready, around.leaving = ready, leaving
    await start(around)
    await around.until("release")
    assert around.did == did


async def test_a_member_that_refuses_holds_a_leaving_cluster_for_its_time_only(start: Start) -> None:
    around = Around(work(**ENDING))
    around.leaving, around.time_left = True, 0.05
    around.refuses = StatusError(403, "Forbidden", "not yours")
    await start(around)
    await around.until("remove")
    assert "release" not in around.did
    around.time_left = 0.0
    await around.until("release")
    assert around.did[-2:] == ["leave behind", "release"]


async def test_drift_is_put_right_and_a_report_is_only_reflected(start: Start) -> None:
    around = Around(work())
    controller = await start(around)
    await around.until("write status")
    applied = around.did.count("apply")
    around.objects = [in_member(ready=3)]
    around.did.clear()
    controller.observe(in_member(ready=3), MemberEvent.STATUS)
    await around.until("write status")
    assert "apply" not in around.did
    assert around.works[KEY]["status"]["manifestStatuses"][0]["status"] == {"readyReplicas": 3}
    controller.observe(in_member(), MemberEvent.CHANGED)
    await around.until("apply")
    assert applied == 1


async def test_a_work_in_place_of_one_that_was_deleted_does_not_say_that_its_object_was_lost(start: Start) -> None:
    """It has the name and the generation of the one before, whose end nobody looked at: the queue keeps a key once."""
    around = Around(work(metadata={"uid": "first"}))
    controller = await start(around)
    await around.until("write status")
    around.works[KEY] = work(metadata={"uid": "second"})
    around.did.clear()
    controller.observe(in_member(), MemberEvent.LEFT)
    await around.until("write status")
    (applied,) = (each for each in around.works[KEY]["status"]["conditions"] if each["type"] == "Applied")
    assert applied["reason"] == "AppliedSuccessful"


async def test_what_was_deleted_and_is_back_is_deleted_again(start: Start) -> None:
    around = Around()
    around.recreated = True
    controller = await start(around)
    controller.observe(in_member(), MemberEvent.LISTED)
    await around.until("remove again")


@pytest.mark.parametrize(("removed", "reason"), [(True, "AppliedSuccessful"), (False, "ReCreateSuccessful")])
async def test_the_end_of_what_an_earlier_work_took_back_is_no_loss(removed: bool, reason: str, start: Start) -> None:
    """A Work of the same name was made before the member told that the earlier one's object is gone."""
    around = Around(work())
    around.removed = removed
    controller = await start(around)
    await around.until("write status")
    around.did.clear()
    around.objects = [in_member(ready=2)]  # so that there is something to report in both cases
    controller.observe(in_member(), MemberEvent.LEFT)
    await around.until("write status")
    (applied,) = [c for c in around.works[KEY]["status"]["conditions"] if c["type"] == "Applied"]
    assert applied["reason"] == reason


async def test_objects_of_other_clusters_works_are_none_of_ours(start: Start) -> None:
    around = Around()
    around.recreated = True
    controller = await start(around)
    other = in_member()
    other["metadata"]["annotations"]["work.karmada.io/namespace"] = "karmada-es-m2"
    controller.observe(other, MemberEvent.LISTED)
    controller.observe(in_member(), MemberEvent.LISTED)
    await around.until("remove again")
    assert around.did == ["remove again"]
