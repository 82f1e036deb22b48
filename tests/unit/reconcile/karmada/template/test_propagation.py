"""One template: what is written before its pipeline is run, and what becomes of the outcome."""

from __future__ import annotations

from typing import Any, cast

import orjson
import pytest

from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.detector.binding import BindingError
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot
from kafila.placement.work.shared import ALONE, SharedWorks
from kafila.reconcile.karmada.scheduler.backoff import Waiting
from kafila.reconcile.karmada.template.changes import EnqueueReason
from kafila.reconcile.karmada.template.pipeline import Outcome
from kafila.reconcile.karmada.template.propagation import Propagation
from kafila.watch import Entry
from tests.unit.placement.objects import cluster, deployment

from .steps.given_policies import GivenPolicies, selecting

Why = EnqueueReason
KIND = cast(Kind, "Deployment")
KEY = Key("deployments.apps", "default", "nginx")


def stored(key: Key, revision: int, obj: Object) -> Entry:
    metadata = {field: value for field, value in obj["metadata"].items() if field != "resourceVersion"}
    return Entry(
        key, revision, orjson.dumps({"metadata": metadata, **{k: v for k, v in obj.items() if k != "metadata"}})
    )


TEMPLATE = stored(KEY, 7, deployment())


def binding(**metadata: Any) -> Entry:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nginx", "uid": "uid-of-template"}
    owners = [{**owner, "controller": True}]
    body = {"metadata": {"name": "nginx-deployment", "namespace": "default", "ownerReferences": owners, **metadata}}
    return stored(Key("resourcebindings.work.karmada.io", "default", "nginx-deployment"), 5, body)


class Around:
    """Everything around, which writes down what it is asked to do."""

    def __init__(self, *policies: Object, existing: Entry | None = None) -> None:
        self.facts = GivenPolicies(policies)
        self.existing = existing
        self.is_behind = False
        self.outcome: Outcome | Exception = Outcome("", False)
        self.room = "1"
        self.rounds = 0
        self.did: list[str] = []
        self.propagation = Propagation(self, self.facts, self, self, self, self, self)

    async def propagate(self, why: EnqueueReason = Why.USER) -> list[str]:
        await self.propagation.propagate(KIND, TEMPLATE, why, ALONE)
        return self.did

    # Templates
    async def decoded(self, kind: Kind, entry: Entry) -> Object:
        return entry.decode()

    def binding_of(self, template: Object) -> Entry | None:
        return self.existing

    async def lags_behind(self, template: Object, existing: Entry) -> bool:
        return self.is_behind

    async def claim(self, kind: Kind, key: Key, template: Object, policy: Object) -> Object:
        self.did.append(f"claim for {policy['metadata']['name']}")
        return {**template, "metadata": {**template["metadata"], "resourceVersion": "claimed"}}

    async def unclaim(self, kind: Kind, entry: Entry) -> Entry:
        self.did.append("unclaim the template")
        return entry

    async def unclaim_binding(self, entry: Entry) -> Entry:
        self.did.append("unclaim the binding")
        return entry

    # Pipelines
    async def run(
        self,
        kind: Kind,
        template: Object,
        policy: Object | None,
        existing: Entry | None,
        why: EnqueueReason,
        shares: SharedWorks,
    ) -> Outcome:
        of = "no policy" if policy is None else policy["metadata"]["name"]
        self.did.append(f"run for {of} on {template['metadata']['resourceVersion']}")
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def aggregate(self, kind: Kind, template: Object, existing: Entry, shares: SharedWorks) -> Outcome:
        self.did.append("aggregate")
        assert isinstance(self.outcome, Outcome)
        return self.outcome

    # Queue
    def enqueue(self, key: Key, why: EnqueueReason = Why.DEPENDENCY, *, after: float = 0) -> None:
        self.did.append(f"enqueue for {why.name}" + (f" in {after:g} s" if after else ""))

    def keep(self, key: Key, why: EnqueueReason) -> None:
        self.did.append(f"keep {why.name}")

    # Backoff
    def failed(self, key: Key, *, for_room: bool) -> None:
        self.did.append("failed for room" if for_room else "failed")

    def settled(self, key: Key) -> None:
        self.did.append("settled")

    # Meanwhile
    def snapshot(self) -> ClusterSnapshot:
        return ClusterSnapshot([ClusterInfo(cluster("m1", cpu=self.room))])

    def wait_for_overrides(self, key: Key) -> None:
        self.did.append("wait for overrides")

    # Records
    def event(self, obj: Object, event_type: str, reason: str, message: str) -> None:
        self.did.append(f"{event_type} {reason}")


async def test_a_template_is_claimed_first_and_the_rest_follows_from_what_the_claim_stored() -> None:
    around = Around(selecting())
    assert await around.propagate() == ["claim for pp", "run for pp on claimed", "settled"]


async def test_nobody_selects_it_and_nothing_is_there() -> None:
    assert await Around().propagate() == ["unclaim the template"]


@pytest.mark.parametrize(
    ("why", "is_behind", "did"),
    [
        (Why.USER, False, []),
        (Why.DEPENDENCY, False, ["run for no policy on 7", "settled"]),
        (Why.START, True, ["run for no policy on 7", "settled"]),
        (Why.START | Why.STATUS, False, ["aggregate"]),
        (Why.START, False, []),
    ],
)
async def test_a_binding_without_a_policy(why: EnqueueReason, is_behind: bool, did: list[str]) -> None:
    around = Around(existing=binding())
    around.is_behind = is_behind
    assert await around.propagate(why) == ["unclaim the binding", "unclaim the template", *did]


async def test_another_objects_binding_is_left_alone() -> None:
    other = binding(ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b", "controller": True}])
    assert await Around(existing=other).propagate(Why.DEPENDENCY) == ["unclaim the template"]


async def test_a_report_is_aggregated_and_what_was_missed_is_enqueued() -> None:
    around = Around(selecting(), existing=binding())
    around.outcome = Outcome("", missed=True)
    assert await around.propagate(Why.STATUS) == ["aggregate", "enqueue for DEPENDENCY"]


async def test_a_binding_that_goes_is_waited_for_with_the_reasons_there_are() -> None:
    going = binding(deletionTimestamp="2026-01-01T00:00:00Z")
    assert await Around(selecting(), existing=going).propagate(Why.USER) == ["keep USER"]


async def test_overrides_that_a_policy_depends_on_are_waited_for_before_the_claim() -> None:
    around = Around(selecting(dependentOverrides=["op"]))
    with pytest.raises(Waiting):
        await around.propagate()
    assert around.did == ["wait for overrides"]


async def test_a_lazy_policy_claims_and_waits() -> None:
    around = Around(selecting(activationPreference="Lazy"), existing=binding())
    assert await around.propagate(Why.POLICY) == ["claim for pp"]


async def test_what_changed_around_all_bindings_reaches_one_that_was_not_stored_yet() -> None:
    around = Around(selecting())
    run = around.run

    async def meanwhile(*arguments: Any) -> Outcome:
        around.rounds += 1
        return await run(*arguments)

    around.run = meanwhile  # type: ignore[method-assign]
    assert "enqueue for DEPENDENCY" in await around.propagate()


@pytest.mark.parametrize(
    ("retry", "came", "did"),
    [("backoff", "1", "failed"), ("unschedulable", "1", "failed for room"), ("unschedulable", "2", "failed")],
)
async def test_what_could_not_be_scheduled_is_in_backoff(retry: str, came: str, did: str) -> None:
    """``came``: the room that there is after the decision."""
    around = Around(selecting())
    run = around.run

    async def meanwhile(*arguments: Any) -> Outcome:
        around.room = came
        return await run(*arguments)

    around.run, around.outcome = meanwhile, Outcome(retry, False)  # type: ignore[method-assign]
    assert (await around.propagate())[-1] == did


@pytest.mark.parametrize("retry", ["", "backoff"])
async def test_time_may_lead_to_more_whatever_became_of_the_decision(retry: str) -> None:
    around = Around(selecting())
    around.outcome = Outcome(retry, False, 30)
    assert "enqueue for DEPENDENCY in 30 s" in await around.propagate()


@pytest.mark.parametrize("retry", ["interpreter", "refused"])
async def test_what_is_missing_is_tried_again(retry: str) -> None:
    around = Around(selecting())
    around.outcome = Outcome(retry, False)
    with pytest.raises(Waiting):
        await around.propagate()
    assert around.did[-2:] == ["settled", "keep DEPENDENCY"]


@pytest.mark.parametrize(
    ("error", "raised", "told"),
    [
        (BindingError("no"), Waiting, True),
        (StatusError(403, "Forbidden", "no"), StatusError, True),
        (ZeroDivisionError(), ZeroDivisionError, False),
    ],
)
async def test_what_was_begun_is_finished_and_a_refusal_is_recorded(
    error: Exception, raised: type[Exception], told: bool
) -> None:
    around = Around(selecting())
    around.outcome = error
    with pytest.raises(raised):
        await around.propagate()
    assert "keep DEPENDENCY" in around.did
    assert ("Warning ApplyPolicyFailed" in around.did) == told
