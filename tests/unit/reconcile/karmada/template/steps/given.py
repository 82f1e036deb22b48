"""Facts and states as plain data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from kafila.core.feature_gates import DEFAULT_GATES, Gates
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.constants import Identity
from kafila.placement.interpreter import NATIVE, Interpreter
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot
from kafila.placement.scheduler.schedule import SchedulingContext
from kafila.placement.types import Work
from kafila.placement.work.build import NO_OVERRIDES, Overrides
from kafila.placement.work.shared import SharedWorks
from kafila.reconcile.karmada.template.steps.facts import StoredQuota, StoredRevision, StoredWork
from kafila.reconcile.karmada.template.steps.state import State
from kafila.watch import Entry
from tests.unit.placement.objects import binding, cluster, deployment, policy


@dataclass
class Given:
    """`Facts` that a test knows."""

    gates: Gates = DEFAULT_GATES
    interpreter: Interpreter = NATIVE
    called: str = "nginx-deployment"
    classes: Mapping[str, int] = field(default_factory=dict)
    policies: tuple[Sequence[Object], Sequence[Object]] = ((), ())
    members: Sequence[Object] = (cluster("m1"), cluster("m2"))
    context: SchedulingContext = field(default_factory=SchedulingContext)
    asked_for: bool = True
    record: Object | None = None
    charged: Sequence[StoredQuota] = ()
    overriding: Overrides = NO_OVERRIDES
    named: tuple[Sequence[StoredWork], Collection[str]] = ((), ())
    allowed: frozenset[str] | None = None
    held: bool = False
    kept: frozenset[str] = frozenset()
    clock: float = 1_000_000.0
    revisions: dict[str, StoredRevision] = field(default_factory=dict)
    asked_names: list[Collection[str]] = field(default_factory=list)

    def name_of_binding(self, template: Object) -> str:
        return self.called

    def is_held(self, policy: Object) -> bool:
        return self.held

    def kept_in(self, clusters: frozenset[str]) -> frozenset[str]:
        return self.kept & clusters

    def priority_classes(self) -> Mapping[str, int]:
        return self.classes

    def candidates(self, template: Object) -> tuple[Sequence[Object], Sequence[Object]]:
        return self.policies

    def clusters(self) -> Mapping[str, Object]:
        return {member["metadata"]["name"]: member for member in self.members}

    def snapshot(self) -> ClusterSnapshot:
        return ClusterSnapshot(ClusterInfo(member) for member in self.members)

    def allowed_clusters(self, namespace: str) -> frozenset[str] | None:
        return self.allowed if namespace else None

    def scheduling_context(self, binding: Object, snapshot: ClusterSnapshot) -> SchedulingContext:
        return self.context

    def is_asked_for(self, binding: Object, before: Object | None) -> bool:
        return self.asked_for

    def decision_record(self, binding: Object) -> Object | None:
        return self.record

    def now(self) -> float:
        return self.clock

    def kept_revision(self, binding: Object, revision: str) -> StoredRevision | None:
        return self.revisions.get(revision)

    def quotas(self, namespace: str) -> Sequence[StoredQuota]:
        return self.charged

    def overrides(self, namespace: str) -> Overrides:
        return self.overriding

    def works_named(self, obj: Identity, clusters: Collection[str]) -> tuple[Sequence[StoredWork], Collection[str]]:
        self.asked_names.append(clusters)
        return self.named


def entry_of(obj: Object) -> Entry:
    """Steps hand entries on and do not look into them."""
    return cast(Entry, f"entry of {obj['metadata']['name']}")


def stored(obj: Object) -> StoredQuota:
    return StoredQuota(obj, entry_of(obj))


def stored_work(obj: Object) -> StoredWork:
    return StoredWork(cast(Work, obj), entry_of(obj))


def work(where: str, **status: Any) -> StoredWork:
    """Of the binding in `state`, in one cluster."""
    obj: Object = {
        "apiVersion": "work.karmada.io/v1alpha1",
        "kind": "Work",
        "metadata": {
            "name": "nginx-687f7fb96f",
            "namespace": constants.execution_namespace(where),
            "labels": {constants.RB_PERMANENT_ID: "id-of-binding"},
            "annotations": {constants.RB_NAMESPACE: "default", constants.RB_NAME: "nginx-deployment"},
        },
        "spec": {"workload": {"manifests": [deployment()]}},
    }
    return stored_work({**obj, "status": status} if status else obj)


def placed(*clusters: str, replicas: int = 2, **spec: Any) -> Object:
    """A binding that is stored, with clusters."""
    targets = [{"name": each, "replicas": replicas} for each in clusters]
    return binding(replicas, clusters=targets, **spec)


def state(before: Object | None = None, **known: Any) -> State:
    defaults: dict[str, Any] = {"policy": policy(), "binding": before or {}, "shares": SharedWorks()}
    return State(deployment(), before=before, **{**defaults, **known})
