"""The unified-auth controller: whom a member lets our impersonator stand in for.

Those who may use ``clusters/NAME/proxy`` here may be impersonated there; what they may do there is the member's own RBAC. As in Karmada
only ClusterRoleBindings count, verbs are not compared, and service accounts are named without their namespace.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.types import Cluster
from kafila.placement.work.build import cluster_work
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.controlled_works import ControlledWorks
from kafila.reconcile.karmada.kinds import CLUSTERS, WORKS
from kafila.registry import Registry
from kafila.registry.context import Change
from kafila.store.interface import StoreUnavailable
from kafila.watch import Entry, Event, needles

RBAC: Final = "rbac.authorization.k8s.io"
ROLES: Final = f"clusterroles.{RBAC}"
ROLE_BINDINGS: Final = f"clusterrolebindings.{RBAC}"
IMPERSONATOR: Final = "karmada-impersonator"  # ClusterRole, ClusterRoleBinding and service account in the member
ALL: Final = "*"
RESOURCES: Final = (("User", "users"), ("ServiceAccount", "serviceaccounts"), ("Group", "groups"))
WORK_NAMES: Final = tuple(constants.work_name(kind, IMPERSONATOR) for kind in ("ClusterRole", "ClusterRoleBinding"))
_GRANTING = tuple(
    needles.text(resource) for resource in ("clusters/proxy", "proxying/proxy", ALL)
)  # one of them at least


class Binding(NamedTuple):
    role: str
    subjects: tuple[tuple[str, str], ...]  # kind and name


def clusters_granted(rules: list[Object]) -> frozenset[str]:
    """The clusters whose proxy a ClusterRole gives access to, ``*`` for all of them."""
    found: set[str] = set()
    for rule in rules:
        if _covers(rule, "search.karmada.io", "proxying/proxy"):
            found.add(ALL)
        elif _covers(rule, "cluster.karmada.io", "clusters/proxy"):
            found.update(rule.get("resourceNames") or (ALL,))
    return frozenset(found)


def _covers(rule: Object, group: str, resource: str) -> bool:
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    return (group in groups or ALL in groups) and (resource in resources or ALL in resources)


def impersonation_rules(subjects: set[tuple[str, str]]) -> list[Object]:
    rules = []
    for kind, resource in RESOURCES:
        found = sorted({name for subject_kind, name in subjects if subject_kind == kind})
        if found:
            rules.append({"verbs": ["impersonate"], "apiGroups": [""], "resources": [resource], "resourceNames": found})
    return rules


def impersonation_manifests(cluster: Cluster, subjects: set[tuple[str, str]]) -> tuple[Object, Object]:
    """ClusterRole and ClusterRoleBinding for the member."""
    metadata = {"name": IMPERSONATOR, "labels": {constants.SYSTEM: constants.TRUE}}
    api_version = f"{RBAC}/v1"
    role = {
        "apiVersion": api_version,
        "kind": "ClusterRole",
        "metadata": metadata,
        "rules": impersonation_rules(subjects),
    }
    namespace = cluster["spec"]["impersonatorSecretRef"]["namespace"]
    binding = {
        "apiVersion": api_version,
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": IMPERSONATOR}],
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": IMPERSONATOR},
    }
    return role, binding


@final
class Grants:
    """Who may use the proxy of which cluster, kept from the events of roles and bindings."""

    def __init__(self) -> None:
        self._roles: dict[str, frozenset[str]] = {}
        self._bindings: dict[str, Binding] = {}

    def put_role(self, name: str, entry: Entry | None) -> bool:
        """Whether that changed anything for a cluster."""
        granted: frozenset[str] = frozenset()
        if entry is not None and any(map(entry.mentions, _GRANTING)):
            granted = clusters_granted(entry.decode().get("rules") or [])
        before = self._roles.pop(name, frozenset())
        if granted:
            self._roles[name] = granted
        return granted != before

    def put_binding(self, name: str, entry: Entry | None) -> bool:
        found = None
        if entry is not None:
            obj = entry.decode()
            if obj["roleRef"]["kind"] == "ClusterRole":
                subjects = tuple((s["kind"], s["name"]) for s in obj.get("subjects") or ())
                found = Binding(obj["roleRef"]["name"], subjects)
        before = self._bindings.pop(name, None)
        if found is not None:
            self._bindings[name] = found
        return found != before and any(b is not None and b.role in self._roles for b in (before, found))

    def subjects(self, cluster: str) -> set[tuple[str, str]]:
        roles = {role for role, granted in self._roles.items() if cluster in granted or ALL in granted}
        return {subject for b in self._bindings.values() if b.role in roles for subject in b.subjects}


@final
class UnifiedAuth(QueueController[str]):
    name = "unifiedAuth"
    about = CLUSTERS

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters) -> None:
        super().__init__(registry.cache, "unified-auth", concurrency=2)
        self._recorder = recorder
        self._clusters = clusters
        self._registry = registry
        self._works = ControlledWorks(registry, clusters)
        self._grants = Grants()
        cache = self._registry.cache
        cache.listen(ROLES, self._observe_role)
        cache.listen(ROLE_BINDINGS, self._observe_binding)
        cache.listen(CLUSTERS, self._observe_cluster)
        cache.listen("namespaces", self._observe_namespace)
        cache.listen(WORKS, self._observe_work)
        clusters.deleted_works.replay(self._observe_work)

    def resync(self) -> None:
        cache = self._registry.cache
        self._grants = Grants()
        for entry in cache.resource(ROLES).entries():
            self._grants.put_role(entry.key.name, entry)
        for entry in cache.resource(ROLE_BINDINGS).entries():
            self._grants.put_binding(entry.key.name, entry)
        self._all_clusters()

    def _all_clusters(self) -> None:
        for entry in self._registry.cache.resource(CLUSTERS).entries():
            self.queue.add(entry.key.name, background=True)

    # -- what happens ----------------------------------------------------------------------------------------------

    def _observe_role(self, event: Event) -> None:
        if self._grants.put_role(event.key.name, event.new):
            self._all_clusters()

    def _observe_binding(self, event: Event) -> None:
        if self._grants.put_binding(event.key.name, event.new):
            self._all_clusters()

    def _observe_cluster(self, event: Event) -> None:
        if event.new is not None and event.generation_changed:
            self.queue.add(event.key.name)

    def _observe_namespace(self, event: Event) -> None:
        name = event.key.name
        if event.old is None and name.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
            self.queue.add(constants.cluster_of(name))  # the cluster can take Works now

    def _observe_work(self, event: Event) -> None:
        if event.new is None and event.key.name in WORK_NAMES:
            self.queue.add(constants.cluster_of(event.key.namespace))

    # -- what is done ----------------------------------------------------------------------------------------------

    async def _reconcile(self, name: str) -> None:
        cluster = self._clusters.by_name.get(name)
        if cluster is None or cluster["metadata"].get("deletionTimestamp"):
            return
        if not cluster["spec"].get("impersonatorSecretRef"):
            return
        if not self._works.takes(name):
            return
        manifests = impersonation_manifests(cluster, self._grants.subjects(name))
        recorder = self._recorder
        try:
            changes = [change for m in manifests if (change := self._change(m, cluster)) is not None]
            await self._registry.commit_together(changes)
        except StoreUnavailable:
            raise
        except Exception as error:
            recorder.event(cluster, "Warning", constants.EVENT_IMPERSONATION_FAILED, str(error))
            raise
        if changes:
            recorder.event(cluster, "Normal", constants.EVENT_IMPERSONATION, "Sync impersonation config succeed.")

    def _change(self, manifest: Object, cluster: Cluster) -> Change | None:
        place = self._works.place(cluster["metadata"]["name"], constants.work_name(manifest["kind"], IMPERSONATOR))
        if place is None:
            return None
        return self._works.change(place, lambda existing: cluster_work(manifest, cluster, existing))
