"""Somebody in a member undoes whatever is written to a copy: who writes it does not join the race, and says so."""

from __future__ import annotations

import asyncio
from typing import Any

from prometheus_client import REGISTRY

from kafila.registry import Options
from kafila.watch import Event
from kafila.workers.controllers import Controllers

from .conftest import Lab

Object = dict[str, Any]
SELECT = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]
AT_ONCE = 9  # repairs before users are told: 5 ms, doubling to a second


class Undoing:
    """In member m1, each time the copy is as it should be."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._member = lab.members["m1"].registry
        self._tasks: set[asyncio.Task[None]] = set()
        self.times = 0
        self.active = True
        self._member.cache.listen("configmaps", self._observe)

    def _observe(self, event: Event) -> None:
        if self.active and event.key.name == "settings" and event.new is not None and _is_right(event.new.decode()):
            task = asyncio.get_running_loop().create_task(self._undo())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _undo(self) -> None:
        def undone(obj: Object) -> Object:
            return {**obj, "metadata": {**obj["metadata"], "labels": obj["metadata"]["labels"] | {"tier": "theirs"}}}

        self.times += 1
        await self._member.modify(self._lab.kind("ConfigMap"), "default", "settings", undone, Options())


def _is_right(copy: Object) -> bool:
    return bool((copy.get("metadata") or {}).get("labels", {}).get("tier") == "ours")


def _told(lab: Lab, kind: str, name: str) -> list[tuple[str, str, str, int]]:
    return [event for event in lab.events(kind, name) if event[1] == "CopyUndone"]


def _held() -> float:
    return REGISTRY.get_sample_value("kafila_copies_undone_total", {"member_cluster": "m1"}) or 0.0


async def test_who_undoes_a_copy_again_and_again_is_answered_later_and_later(two: Lab) -> None:
    before, undoing = _held(), Undoing(two)
    await two.create(two.config(tier="ours"))
    await two.create(two.policy("policy", "m1", select=SELECT))
    await two.until(lambda: _told(two, "ConfigMap", "settings"), "the user is told on the template")
    (work,) = [w for w in two.list("Work") if w["metadata"]["name"].startswith("settings")]
    await two.until(lambda: _told(two, "Work", work["metadata"]["name"]), "and on the Work")
    said = _told(two, "ConfigMap", "settings")[0]
    assert said[0] == "Warning"
    assert "Somebody in cluster(m1) undoes again and again what is applied there (metadata.labels.tier)" in said[2]
    # the first write and the repairs at once; from then on each one waited, and was counted when it did
    assert undoing.times <= 1 + AT_ONCE + (_held() - before)

    undoing.active = False
    await two.until(lambda: _is_right(two.in_member("m1", "ConfigMap", "settings")), "it is put right in the end")


async def test_a_change_of_the_template_does_not_wait(two: Lab) -> None:
    undoing = Undoing(two)
    await two.create(two.config(tier="ours"))
    await two.create(two.policy("policy", "m1", select=SELECT))
    await two.until(lambda: _told(two, "ConfigMap", "settings"))
    await two.change("ConfigMap", "settings", lambda obj: obj["data"].update(added="1") or obj)
    await two.until(lambda: "added" in two.in_member("m1", "ConfigMap", "settings")["data"])
    undoing.active = False


async def test_a_member_that_is_a_control_plane_itself_takes_claims_off(two: Lab) -> None:
    """As Karmada's detector does: it does not know the policy that has claimed the copy."""
    member = two.members["m1"]
    inner = Controllers(member.registry, member._definitions, two.settings, lambda cluster: None)
    await inner.start()
    try:
        await two.create(two.config(tier="ours"))
        await two.create(two.policy("policy", "m1", select=SELECT))
        await two.until(lambda: _told(two, "ConfigMap", "settings"))
    finally:
        await inner.stop()
    assert "(metadata.labels.propagationpolicy.karmada.io/permanent-id, " in _told(two, "ConfigMap", "settings")[0][2]
