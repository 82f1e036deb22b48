"""What may be written to /status (facts from pkg/apis/*/validation of kubernetes 1.36.3)."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.builtin.validation import jobstatus, status
from kafila.core.values import Object

DONE = [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]
TIMES = {"startTime": "2020-01-01T00:00:00Z", "completionTime": "2020-01-01T00:01:00Z"}


def _job(was: Object, now: Object, **spec: Any) -> list[str]:
    job = {"metadata": {}, "spec": {"completions": 3, **spec}}
    return [str(e) for e in jobstatus.validate_job_status({**job, "status": now}, {**job, "status": was})]


def test_an_ended_job() -> None:
    assert _job({"startTime": TIMES["startTime"]}, {"conditions": DONE, **TIMES, "succeeded": 3}) == []
    early = {"conditions": DONE[1:], "active": 1}
    assert _job({}, early) == [
        "status.completionTime: Required value: completionTime is required for Complete jobs",
        "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        "status.active: Invalid value: 1: active>0 is invalid for finished job",
        "status.startTime: Required value: startTime is required for finished job",
    ]
    assert _job(early, early) == []  # what is there stays


@pytest.mark.parametrize(
    ("was", "now", "spec", "why"),
    [
        ({}, {"active": -1}, {}, "status.active: Invalid value: -1: must be greater than or equal to 0"),
        ({}, {"ready": 2}, {}, "status.ready: Invalid value: 2: cannot set more ready pods than active"),
        ({"failed": 2}, {"failed": 1}, {}, "status.failed: Invalid value: 1: cannot decrease the failed counter"),
        (
            {},
            {"completedIndexes": "2,1"},
            {"completionMode": "Indexed"},
            'status.completedIndexes: Invalid value: "2,1": error parsing completedIndexes: '
            "non-increasing order, previous: 2, current: 1",
        ),
        (
            {},
            {"completedIndexes": "0-1", "failedIndexes": "1-2"},
            {"completionMode": "Indexed", "backoffLimitPerIndex": 1},
            'status.failedIndexes: Invalid value: "1-2": failedIndexes and completedIndexes overlap at index: 1',
        ),
        (
            {"conditions": [{"type": "FailureTarget", "status": "True"}]},
            {},
            {},
            "status.conditions: Invalid value: cannot disable the terminal FailureTarget=True condition",
        ),
    ],
)
def test_a_jobs_progress(was: Object, now: Object, spec: Object, why: str) -> None:
    assert _job(was, now, **spec) == [why]


@pytest.mark.parametrize(
    ("check", "obj", "was", "why"),
    [
        (
            status.deployment,
            {"readyReplicas": 2, "replicas": 1},
            {},
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
        ),
        (
            status.daemon_set,
            {},
            {"collisionCount": 1},
            "status.collisionCount: Invalid value: 0: cannot be decremented",
        ),
        (
            status.namespace,
            {"phase": "Terminating"},
            {},
            "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty",
        ),
        (
            status.service,
            {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
            {},
            "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
        ),
        (
            status.pod,
            {"qosClass": "Guaranteed"},
            {"qosClass": "BestEffort"},
            'status.qosClass: Invalid value: "Guaranteed": field is immutable',
        ),
        (
            status.pod,
            {"containerStatuses": [{"name": "c", "state": {"running": {}}}]},
            {"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 0}}}]},
            "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
        ),
    ],
)
def test_other_kinds(check: status.StatusCheck, obj: Object, was: Object, why: str) -> None:
    whole: Object = {"metadata": {}, "spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c"}]}}
    assert [str(e) for e in check({**whole, "status": obj}, {**whole, "status": was})] == [why]
