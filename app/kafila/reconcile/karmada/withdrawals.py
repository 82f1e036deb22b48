"""What waits for an approval: edits of policies that take more out of clusters than anybody may mean."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, final

import structlog
from prometheus_client import Counter

from kafila.catalog.kind import Kind
from kafila.core.errors import ignoring_not_found
from kafila.core.resources import Key
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.cluster_expression import expression_of
from kafila.placement.types import PropagationPolicy
from kafila.placement.withdrawal import (
    APPROVED,
    CHANGE,
    Limits,
    Question,
    Withdrawal,
    edition,
    fitting,
    is_approved,
    leaving,
    mark,
    waiting_for,
)
from kafila.reconcile.events import Recorder
from kafila.reconcile.facts import FactsNeeded
from kafila.registry import Registry
from kafila.registry.threads import BIG, in_thread

from .clusters import Clusters
from .kinds import BINDINGS, CLUSTER_BINDINGS, OPTIONS, stored_binding

log = structlog.get_logger(__name__)
EVENT_HELD: Final = "WithdrawalHeld"
EVENT_APPROVED: Final = "WithdrawalApproved"
REMEMBERED: Final = 4096  # policies
AT_ONCE: Final = 50  # bindings that are read before others get their turn
HELD_TOTAL: Final = Counter(
    "kafila_withdrawals_held_total",
    "Changes that wait, or waited, for an approval: of a policy or a cluster.",
    ["kind"],
)


async def hold(
    registry: Registry, recorder: Recorder, kind: Kind, obj: AnyObject, text: str, question: Question = CHANGE
) -> None:
    """Says on the object that it waits, and how it is approved."""
    if waiting_for(obj, question):
        return  # whoever led before us has said so
    edition = question.edition(obj)

    def held(current: Object) -> Object:
        if question.edition(current) != edition:
            return current
        annotations = {**(current["metadata"].get("annotations") or {}), question.annotation: mark(obj, text, question)}
        return {**current, "metadata": {**current["metadata"], "annotations": annotations}}

    metadata = obj["metadata"]
    with ignoring_not_found():
        await registry.modify(kind, metadata.get("namespace", ""), metadata["name"], held, OPTIONS)
        HELD_TOTAL.labels(kind.kind).inc()
        log.warning("waits for an approval", kind=kind.kind, name=metadata["name"], what=text)
        where = f" -n {metadata['namespace']}" if metadata.get("namespace") else ""
        how = f"kafila approve {kind.singular} {metadata['name']}{where}, or annotation {APPROVED}: {edition}"
        message = f"{text}. Nothing is moved until it is approved ({how}) or taken back"
        recorder.event({"apiVersion": kind.api_version, "kind": kind.kind, **obj}, "Warning", EVENT_HELD, message)


class Claims(Protocol):
    """The templates and bindings that policies have claimed (:class:`.indexes.ClaimIndex`)."""

    def keys(self, policy_id: str) -> Sequence[Key]: ...

    def count(self, policy_id: str) -> int:
        """How many keys there are, at no more cost when there are more."""
        ...


class _Verdict(NamedTuple):
    edition: str
    is_held: bool


@final
class PolicyGuard:
    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        clusters: Clusters,
        claims: Claims,
        limits: Limits,
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._claims = claims
        self._limits = limits
        self._verdicts: OrderedDict[str, _Verdict] = OrderedDict()  # by uid
        self._counting = asyncio.Lock()

    def holds(self, policy: PropagationPolicy) -> bool:
        """Whether bindings keep the placement they have, whatever the policy says now. Raises FactsNeeded.

        It is asked for each of a policy's objects, so that what takes longer the more there are is done once (`count`).
        """
        if self._limits == (0, 0):
            return False
        if is_approved(policy):
            self._approved(policy)
            return False
        if policy["spec"].get("preserveResourcesOnDeletion"):
            return False  # nothing that runs is taken away
        known = self._known(policy)
        if known is not None:
            return known.is_held
        most = self._claims.count(_permanent_id(policy))  # of bindings: templates are among them
        if not self._limits.exceeded(most, len(self._clusters.by_name)):
            return False
        raise _NotCounted(self, policy)

    def _known(self, policy: PropagationPolicy) -> _Verdict | None:
        known = self._verdicts.get(policy["metadata"].get("uid") or "")
        return known if known is not None and known.edition == edition(policy) else None

    def _bindings(self, policy: PropagationPolicy) -> list[Key]:
        claimed = self._claims.keys(_permanent_id(policy))
        return [key for key in claimed if key.resource in (BINDINGS, CLUSTER_BINDINGS)]

    async def count(self, policy: PropagationPolicy) -> None:
        async with self._counting:
            if self._known(policy) is not None:
                return  # counted by now, for another of its objects
            found = await self._withdrawn(policy)
            is_held = found.exceeds(self._limits)
            if is_held:
                await hold(self._registry, self._recorder, self._kind_of(policy), policy, str(found))
            self._verdicts[policy["metadata"].get("uid") or ""] = _Verdict(edition(policy), is_held)
            while len(self._verdicts) > REMEMBERED:
                self._verdicts.popitem(last=False)

    async def _withdrawn(self, policy: PropagationPolicy) -> Withdrawal:
        placement, expression = policy["spec"].get("placement") or {}, expression_of(policy)
        clusters, found = dict(self._clusters.by_name), Withdrawal()
        fits = await in_thread(BIG if expression else 0, lambda: fitting(placement, clusters, expression))
        for index, key in enumerate(self._bindings(policy)):
            if index % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            entry = self._registry.cache.get(*key)
            if entry is not None:
                found.add(leaving(stored_binding(entry), policy, fits))
        return found

    def _approved(self, policy: PropagationPolicy) -> None:
        known = self._verdicts.pop(policy["metadata"].get("uid") or "", None)
        if known is not None and known.is_held:
            kind = self._kind_of(policy)
            named: Object = {**policy, "apiVersion": kind.api_version, "kind": kind.kind}
            self._recorder.event(named, "Normal", EVENT_APPROVED, "What waited is carried out")

    def _kind_of(self, policy: PropagationPolicy) -> Kind:
        plural = "propagationpolicies" if policy["metadata"].get("namespace") else "clusterpropagationpolicies"
        return self._registry.kind("policy.karmada.io", "v1alpha1", plural)


def _permanent_id(policy: PropagationPolicy) -> str:
    labels = policy["metadata"].get("labels") or {}
    return labels.get(constants.PP_PERMANENT_ID) or labels.get(constants.CPP_PERMANENT_ID) or ""


@final
class _NotCounted(FactsNeeded):
    def __init__(self, guard: PolicyGuard, policy: PropagationPolicy) -> None:
        super().__init__("what a policy takes away has to be counted")
        self._guard = guard
        self._policy = policy

    async def fetch(self) -> None:
        await self._guard.count(self._policy)
