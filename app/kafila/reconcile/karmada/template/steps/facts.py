"""What a step may ask for that does not stand in its state."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from kafila.core.feature_gates import Gates
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.constants import Identity
from kafila.placement.interpreter import Interpreter
from kafila.placement.objects import namespace
from kafila.placement.scheduler.cluster_snapshot import ClusterSnapshot
from kafila.placement.scheduler.schedule import SchedulingContext
from kafila.placement.spec import existing_clusters
from kafila.placement.types import Binding, Cluster, FederatedResourceQuota, PropagationPolicy, Work
from kafila.placement.work.build import Overrides
from kafila.watch import Entry


class StoredQuota(NamedTuple):
    """An object as it is stored. ``entry``: what a write of it compares."""

    obj: FederatedResourceQuota
    entry: Entry


class StoredRevision(NamedTuple):
    obj: Object
    entry: Entry


class StoredWork(NamedTuple):
    obj: Work
    entry: Entry

    @property
    def cluster(self) -> str:
        """The cluster that it is for."""
        return constants.cluster_of(self.obj["metadata"]["namespace"])


class Facts(Protocol):
    """As they are now. Any question may raise FactsNeeded: then all steps are run again once the fact is there.

    Do not change what is answered.
    """

    @property
    def gates(self) -> Gates: ...

    @property
    def interpreter(self) -> Interpreter: ...

    def name_of_binding(self, template: Object) -> str:
        """Of one that is to be made."""
        ...

    def priority_classes(self) -> Mapping[str, int]: ...

    def is_held(self, policy: PropagationPolicy) -> bool:
        """Does what it says now take so much out of clusters that it waits for an approval?"""
        ...

    def kept_in(self, clusters: frozenset[str]) -> frozenset[str]:
        """Those of the clusters that so much would leave, for what they are not any more, that it waits for an approval."""
        ...

    def candidates(self, template: Object) -> tuple[Sequence[PropagationPolicy], Sequence[PropagationPolicy]]:
        """Policies of its namespace, and cluster-wide ones, that may select it."""
        ...

    def clusters(self) -> Mapping[str, Cluster]:
        """By name."""
        ...

    def snapshot(self) -> ClusterSnapshot: ...

    def allowed_clusters(self, namespace: str) -> frozenset[str] | None:
        """Names of the clusters that it may use; None for all, also for what has no namespace."""
        ...

    def scheduling_context(self, binding: Binding, snapshot: ClusterSnapshot) -> SchedulingContext: ...

    def is_asked_for(self, binding: Binding, before: Binding | None) -> bool:
        """Does something besides a periodic run lead to a decision?"""
        ...

    def decision_record(self, binding: Binding) -> Object | None:
        """What is stored of the last decision."""
        ...

    def now(self) -> float:
        """Unix seconds."""
        ...

    def kept_revision(self, binding: Binding, revision: str) -> StoredRevision | None:
        """What is stored of a revision of the binding's template."""
        ...

    def quotas(self, namespace: str) -> Sequence[StoredQuota]:
        """Its FederatedResourceQuotas."""
        ...

    def overrides(self, namespace: str) -> Overrides: ...

    def works_named(self, obj: Identity, clusters: Collection[str]) -> tuple[Sequence[StoredWork], Collection[str]]:
        """Works of the object by their names, and the clusters where Karmada's name is that of another object's Work."""
        ...


class PolicyFacts(Protocol):
    """About policies, as they are now. Do not change what is answered."""

    @property
    def gates(self) -> Gates: ...

    def policy(self, namespace: str, name: str) -> PropagationPolicy | None:
        """The PropagationPolicy, or without a namespace the ClusterPropagationPolicy."""
        ...

    def candidates(self, template: Object) -> tuple[Sequence[PropagationPolicy], Sequence[PropagationPolicy]]: ...

    def override_exists(self, namespace: str, name: str) -> bool: ...


def clusters_of(binding: Binding, facts: Facts) -> frozenset[str]:
    """Where the object may be now for this binding, of the clusters that its namespace may use."""
    found, allowed = existing_clusters(binding["spec"]), facts.allowed_clusters(namespace(binding))
    return found if allowed is None else found & allowed
