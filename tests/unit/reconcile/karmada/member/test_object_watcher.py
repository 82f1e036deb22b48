"""What a change in a member can mean."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from kafila.core.values import Object
from kafila.reconcile.karmada.member.object_watcher import differ_in_status_only

SEEN: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "resourceVersion": "7", "generation": 1, "labels": {"a": "b"}},
    "spec": {"replicas": 2},
    "status": {"readyReplicas": 1},
}


@pytest.mark.parametrize(
    ("change", "only_status"),
    [
        (lambda obj: obj["status"].update(readyReplicas=2), True),
        (lambda obj: obj.pop("status"), True),
        (lambda obj: obj["metadata"].pop("resourceVersion"), True),
        (lambda obj: obj["metadata"]["labels"].update(a="c"), False),
        (lambda obj: obj["metadata"].pop("labels"), False),
        (lambda obj: obj["metadata"].update(generation=2), False),
        (lambda obj: obj["spec"].update(replicas=3), False),
        (lambda obj: obj.update(data={}), False),
        (lambda obj: obj.pop("spec"), False),
    ],
)
def test_differ_in_status_only(change: Callable[[Object], object], only_status: bool) -> None:
    now = copy.deepcopy(SEEN)
    now["metadata"]["resourceVersion"] = "8"
    change(now)
    assert differ_in_status_only(SEEN, now) is only_status
    assert differ_in_status_only(now, SEEN) is only_status
