"""Controllers whose process lost its lease, and does not know it yet, change nothing: neither here nor in a member."""

from __future__ import annotations

from typing import final

from kafila.settings.settings import Settings
from kafila.store.interface import LeaseLost

from .conftest import Lab


@final
class Fence:
    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.closed = True
        self.refused = 0

    def __call__(self) -> None:
        if self.closed:
            self.refused += 1
            self._lab.look()
            raise LeaseLost("it is another process's")


async def test_nothing_is_written_behind_a_closed_fence(two: Lab) -> None:
    two.settings = Settings(cluster_status_frequency=600.0)  # what is refused is not another look at the members
    await two.restart()
    await two.create(two.policy("policy", "m1", "m2"))
    await two.create(two.deployment(replicas=2))
    await two.rest()
    fence = two.fence = Fence(two)

    member = two.members["m1"].registry
    kind = two.kind("Deployment")
    entry = member.cache.get(kind.resource, "default", "web")
    assert entry is not None
    drifted = two.deployment(replicas=5)
    drifted["metadata"] = {**member.object(kind, "default", "web")["metadata"], "resourceVersion": ""}
    await member.update(kind, "default", "web", drifted, two.user)
    await two.until(lambda: fence.refused, "the repair of the drift is refused")
    assert two.in_member("m1", "Deployment", "web")["spec"]["replicas"] == 5

    refused, revision = fence.refused, two.database.head
    await two.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=3))
    await two.until(lambda: fence.refused > refused + 5, "the propagation of the change is refused")
    assert two.log_after(revision) == [("deployments.apps", "web", False)]

    fence.closed = False
    await two.until(lambda: two.in_member("m1", "Deployment", "web")["spec"]["replicas"] == 3, "repaired")
    await two.until(lambda: two.in_member("m2", "Deployment", "web")["spec"]["replicas"] == 3, "propagated")
