"""What is scheduled first, and when what could not be scheduled is tried again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.core.values import Object

Lab = Any  # of conftest
DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}
CLASSES = {"urgent": 100, "soon": 10, "idle": -10}


async def prepare(lab: Lab, *members: str, cpu: str = "16") -> Lab:
    """Every Deployment is as urgent as its label ``class`` says."""
    await lab.join(*members, cpu=cpu)
    for name, value in CLASSES.items():
        made = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        await lab.create({**made, "value": value})
    for name in (*CLASSES, "usual"):
        select = {"apiVersion": "apps/v1", "kind": "Deployment", "labelSelector": {"matchLabels": {"class": name}}}
        wanted: Object = {}
        if name in CLASSES:
            wanted = {"schedulePriority": {"priorityClassSource": "KubePriorityClass", "priorityClassName": name}}
        await lab.create(lab.policy(name, select=[select], scheduling=DYNAMIC, **wanted))
    return lab


@pytest.fixture
async def narrow(make_lab: type[Any]) -> AsyncIterator[Lab]:
    """A member with room for four pods of one cpu (by its resource models), where two workloads are never given the same room."""
    lab = await make_lab(feature_gates="SchedulingOvercommitProtection=true").start()
    await prepare(lab, "m1", cpu="6")
    yield lab
    await lab.close()


def scheduled(lab: Lab, name: str) -> tuple[str, str]:
    found = lab.condition(lab.get("ResourceBinding", f"{name}-deployment"), "Scheduled")
    return found.get("status"), found.get("reason")


def order(lab: Lab) -> list[str]:
    """Names of the bindings in the order in which they got clusters."""
    seen: dict[str, None] = {}
    for record in lab.database.log:
        if record.key.resource == "resourcebindings.work.karmada.io" and b'"clusters"' in (record.body or b""):
            seen.setdefault(record.key.name.removesuffix("-deployment"))
    return list(seen)


async def test_the_most_urgent_is_scheduled_first(lab: Lab) -> None:
    await prepare(lab, "m1")
    await lab.controllers_stop()
    for name in ("idle", "usual", "soon", "urgent"):
        for number in range(20):
            await lab.create(lab.deployment(f"{name}{number}", replicas=1, **{"class": name}))
    await lab.controllers.start()
    await lab.until(lambda: len(order(lab)) == 80, "all are scheduled")
    assert [name.rstrip("0123456789") for name in order(lab)] == [
        name for name in ("urgent", "soon", "usual", "idle") for _ in range(20)
    ]
    priority = lab.get("ResourceBinding", "urgent0-deployment")["spec"]["schedulePriority"]
    assert priority == {"priority": 100}


async def test_the_last_room_goes_to_the_most_urgent(narrow: Lab) -> None:
    await narrow.controllers_stop()
    for name in ("usual", "soon", "urgent"):
        await narrow.create(narrow.deployment(name, replicas=4, cpu="1", **{"class": name}))
    await narrow.controllers.start()
    await narrow.until(lambda: all(scheduled(narrow, name)[0] for name in ("usual", "soon", "urgent")))
    await narrow.rest()
    assert scheduled(narrow, "urgent") == ("True", "Success")
    assert scheduled(narrow, "soon") == scheduled(narrow, "usual") == ("False", "Unschedulable")
    await narrow.counted()
    await narrow.delete("Deployment", "urgent")
    await narrow.until(lambda: scheduled(narrow, "soon") == ("True", "Success"), "there is room again")
    await narrow.rest()
    assert scheduled(narrow, "usual") == ("False", "Unschedulable")


async def test_without_the_gate_they_come_as_they_are(make_lab: type[Any]) -> None:
    lab = await make_lab(feature_gates="PriorityBasedScheduling=false").start()
    try:
        await prepare(lab, "m1")
        await lab.controllers_stop()
        for name in ("usual", "urgent"):
            await lab.create(lab.deployment(name, replicas=1, **{"class": name}))
        await lab.controllers.start()
        await lab.until(lambda: len(order(lab)) == 2, "both are scheduled")
        assert "schedulePriority" not in lab.get("ResourceBinding", "urgent-deployment")["spec"]
        assert order(lab) == ["usual", "urgent"]
    finally:
        await lab.close()
