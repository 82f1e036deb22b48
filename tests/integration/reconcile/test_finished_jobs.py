"""``ttlSecondsAfterFinished`` of Jobs: a member's copy has no such field, so the template must go, and takes the copies along."""

from __future__ import annotations

from typing import Any

from kafila.core.clock import rfc3339
from kafila.core.values import Object

JOBS = [{"apiVersion": "batch/v1", "kind": "Job"}]


def job(**spec: Any) -> Object:
    container = {"name": "c", "image": "busybox"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once", "namespace": "default"},
        "spec": {"template": template, **spec},
    }


async def test_a_finished_job_goes_after_its_time_and_takes_its_copies_along(two: Any) -> None:
    await two.create(two.policy("jobs", "m1", select=JOBS))
    await two.create(job(ttlSecondsAfterFinished=0))
    await two.until(lambda: two.in_clusters("Job", "once"))
    await two.until(lambda: not two.get("Job", "once"))
    await two.until(lambda: not two.in_clusters("Job", "once"))
    assert two.list("ResourceBinding") == []


async def test_others_stay_until_their_time_is_over(two: Any) -> None:
    """One without the field, and one whose time is not over; then the time is made shorter."""
    await two.create(two.policy("jobs", "m1", select=JOBS))
    await two.create(job())
    await two.until(lambda: two.is_true(two.get("Job", "once"), "Complete"))
    await two.rest()
    await two.change("Job", "once", lambda obj: obj["spec"].update(ttlSecondsAfterFinished=3600))
    await two.rest()
    assert two.in_clusters("Job", "once") == ["m1"]
    await two.change("Job", "once", lambda obj: obj["spec"].update(ttlSecondsAfterFinished=0))
    await two.until(lambda: not two.get("Job", "once"))


async def test_one_that_failed_before_this_process_began(two: Any) -> None:
    await two.controllers_stop()
    await two.create(job(ttlSecondsAfterFinished=0))
    now = rfc3339()
    failed = [
        {"type": "FailureTarget", "status": "True", "lastTransitionTime": now},
        {"type": "Failed", "status": "True", "lastTransitionTime": now},
    ]
    await two.change(
        "Job", "once", lambda obj: obj.update(status={"startTime": now, "conditions": failed}), subresource="status"
    )
    await two.restart()
    await two.until(lambda: not two.get("Job", "once"))
