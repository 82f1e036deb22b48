"""`kafila.reconcile.karmada.member.reflect_status`, without a member."""

from __future__ import annotations

import pytest

from kafila.placement.interpreter import InterpretError
from kafila.reconcile.karmada.member.reflect_status import StatusReflection
from kafila.reconcile.karmada.member.work_status import Outcome

from .around_works import KEY, Around, in_member, work

APPLIED = Outcome(1, 1, (), False)


async def test_what_the_member_reports_is_written_once() -> None:
    around = Around(work())
    around.objects = [in_member(ready=2)]
    status = StatusReflection(around, around, {KEY: APPLIED})
    await status.reflect(KEY)
    (reported,) = around.works[KEY]["status"]["manifestStatuses"]
    assert reported["status"] == {"readyReplicas": 2}
    await status.reflect(KEY)
    assert around.did.count("write status") == 1


async def test_before_anything_was_applied_only_dispatching_is_known() -> None:
    around = Around(work())
    await StatusReflection(around, around, {}).reflect(KEY)
    assert [each["type"] for each in around.works[KEY]["status"]["conditions"]] == ["Dispatching"]
    assert "Normal WorkDispatching on Work" in around.did


async def test_a_status_that_cannot_be_read_keeps_the_last_one() -> None:
    around = Around(work(status={"manifestStatuses": [{"status": {"readyReplicas": 1}}]}))
    around.objects, around.unreadable = [in_member()], "what is this?"
    status = StatusReflection(around, around, {KEY: APPLIED})
    with pytest.raises(InterpretError):
        await status.reflect(KEY)
    assert around.works[KEY]["status"]["manifestStatuses"] == [{"status": {"readyReplicas": 1}}]
    assert any(did.startswith("Warning ") for did in around.did)


@pytest.mark.parametrize("works", [[], [work(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})]])
async def test_what_is_gone_or_going_gets_no_status(works: list) -> None:  # type: ignore[type-arg]
    around = Around(*works)
    await StatusReflection(around, around, {KEY: APPLIED}).reflect(KEY)
    assert around.did == []
