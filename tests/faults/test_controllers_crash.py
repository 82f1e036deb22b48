"""The control plane dies after any one of its commits: the next one finishes the job, and does nothing twice."""

from __future__ import annotations

import asyncio
from typing import Any, final

import pytest

from kafila.core.values import Object
from kafila.store.interface import StoreUnavailable, Transaction
from kafila.store.memory import MemoryDatabase, MemoryStore
from tests.integration.reconcile.conftest import Lab, _known_queues

UNCOUNTED = ("events", "clusters.cluster.karmada.io")
__all__ = ["_known_queues"]


@final
class DyingStore:
    """Lets ``left`` more transactions of controllers through. After the last one nothing is stored any more.

    What is written by the clock, or to tell of the rest, neither counts nor ends: statuses of Clusters and events.
    """

    def __init__(self, database: MemoryDatabase) -> None:
        self._store = MemoryStore(database)
        self.left = 10**9
        self.dead = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, transaction: Transaction) -> list[int]:
        if transaction.writes and transaction.writes[0].key.resource not in UNCOUNTED:
            if self.left <= 0:
                self.dead.set()
                raise StoreUnavailable("the process is dead")
            self.left -= 1
        return await self._store.commit(transaction)


async def prepared() -> tuple[Lab, DyingStore]:
    lab = Lab()
    lab.store = store = DyingStore(lab.database)
    await lab.start()
    await lab.join("m1", "m2")
    await lab.rest()
    return lab, store


async def died(lab: Lab, store: DyingStore) -> None:
    """Returns when the next commit was refused, or everything is done."""
    dead = asyncio.create_task(store.dead.wait())
    done = asyncio.create_task(lab.rest())
    await asyncio.wait((dead, done), return_when=asyncio.FIRST_COMPLETED)
    for task in (dead, done):
        task.cancel()
    await asyncio.gather(dead, done, return_exceptions=True)


async def revived(lab: Lab) -> None:
    await lab.restart()
    await lab.rest()


VOLATILE = ("uid", "resourceVersion", "creationTimestamp", "managedFields")


def picture(lab: Lab) -> Object:
    """Everything that matters of the outcome, without what differs in every run."""
    out: Object = {}
    for kind in ("Deployment", "ResourceBinding", "Work"):
        for obj in lab.list(kind):
            metadata = {k: v for k, v in obj["metadata"].items() if k not in VOLATILE and k != "generation"}
            out[f"{kind} {metadata['namespace']}/{metadata['name']}"] = {
                "labels": sorted(metadata.get("labels") or ()),
                "annotations": sorted(metadata.get("annotations") or ()),
                "finalizers": metadata.get("finalizers"),
                "clusters": sorted((c["name"], c.get("replicas")) for c in obj["spec"].get("clusters") or ()),
                "replicas": obj["spec"].get("replicas"),
                "conditions": sorted(
                    (c["type"], c["status"], c["reason"]) for c in (obj.get("status") or {}).get("conditions") or ()
                ),
                "ready": (obj.get("status") or {}).get("readyReplicas"),
                "aggregated": [
                    (i["clusterName"], i.get("applied"), i.get("health"), (i.get("status") or {}).get("readyReplicas"))
                    for i in (obj.get("status") or {}).get("aggregatedStatus") or ()
                ],
            }
    for name, member in lab.members.items():
        for obj in lab.list("Deployment", member.registry):
            out[f"{name} {obj['metadata']['name']}"] = obj["spec"]["replicas"]
        out[f"{name} pods"] = len(lab.list("Pod", member.registry))
    return out


SPREAD = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}


async def propagate(lab: Lab) -> None:
    await lab.create(lab.policy("policy", "m1", "m2", scheduling=SPREAD))
    await lab.create(lab.deployment(replicas=4))


async def scale_and_move(lab: Lab) -> None:
    await lab.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=6))
    await lab.change("PropagationPolicy", "policy", lambda obj: obj["spec"]["placement"].pop("replicaScheduling"))


async def withdraw(lab: Lab) -> None:
    await lab.delete("Deployment", "web")


async def drop_policy(lab: Lab) -> None:
    await lab.delete("PropagationPolicy", "policy")


async def one_run(steps: list[Any], last: Any, die_after: int | None) -> tuple[Object, bool]:
    """(outcome, whether it died in the last step). ``steps`` come first and undisturbed."""
    lab, store = await prepared()
    try:
        for step in steps:
            await step(lab)
            await lab.rest()
        own = 2 if last in (propagate, scale_and_move) else 1
        store.left = 10**9 if die_after is None else own + die_after
        await last(lab)
        await died(lab, store)
        dead = store.dead.is_set()
        store.left = 0
        await revived(lab)
        revision = await lab.rest()
        lab.resync_controllers()
        await lab.rest()
        again = [row for row in lab.log_after(revision) if row[0] not in UNCOUNTED]
        assert again == []
        for binding in lab.list("ResourceBinding"):
            assert binding["status"]["schedulerObservedGeneration"] == binding["metadata"]["generation"]
        return picture(lab), dead
    finally:
        await lab.close()


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        ([], propagate),
        ([propagate], scale_and_move),
        ([propagate], withdraw),
        ([propagate], drop_policy),
    ],
    ids=["propagate", "scale-and-move", "withdraw", "drop-policy"],
)
async def test_any_commit_may_be_the_last(steps: list[Any], last: Any) -> None:
    wanted, _ = await one_run(steps, last, None)
    deaths, dead = 0, True
    while dead:  # how many commits a step takes is a matter of what happens to come together
        outcome, dead = await one_run(steps, last, deaths)
        assert outcome == wanted, f"after commit {deaths}"
        deaths += dead
    assert deaths > 1
