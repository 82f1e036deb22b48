"""The cluster controller: execution namespace, taints from the Ready condition, and the end of a cluster."""

from __future__ import annotations

import contextlib
import time
from typing import final

from kafila.catalog.karmada.agent_roles import RBAC, agent_name, agent_roles
from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.conditions import conditions_of, find
from kafila.core.errors import StatusError
from kafila.core.metadata import remove_finalizer
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.types import Cluster
from kafila.reconcile.controller import ResourceController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.kinds import CLUSTERS, OPTIONS, read_cluster
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.watch import Event, needles

BINDINGS = ("resourcebindings.work.karmada.io", "clusterresourcebindings.work.karmada.io")
RECORDED = 2.0  # seconds that the events of its end have to be written
SEES_END = 15.0  # seconds that an agent, or `karmadactl unregister` as it, can see that its Cluster is gone
ENDED = "kafila.io/cluster-ended"  # annotation of an agent's ClusterRole: when its Cluster was gone
ROLES = f"clusterroles.{RBAC}"
WAIT = 2.0  # seconds between checks of what still holds a cluster that is being deleted


@final
class ClusterController(ResourceController):
    name = "cluster"
    about = CLUSTERS

    def __init__(self, registry: Registry, recorder: Recorder, leave_timeout: float) -> None:
        super().__init__(registry.cache, self.name, concurrency=5)
        self._leave_timeout = leave_timeout
        self._registry = registry
        self._recorder = recorder
        self._kind = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")
        self._namespaces = registry.kind("", "v1", "namespaces")
        registry.cache.listen("namespaces", self._observe_namespace)

    def resync(self) -> None:
        super().resync()
        for entry in self._registry.cache.resource(ROLES).entries():
            if name := (entry.meta.annotations or {}).get(ENDED, "").partition(" ")[2]:
                self.queue.add(name, background=True)

    def _observe_namespace(self, event: Event) -> None:
        if event.new is None and event.key.name.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
            self.queue.add(constants.cluster_of(event.key.name))

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(CLUSTERS, "", name)
        if entry is None:
            await self._end_agent(name)
            return
        cluster = read_cluster(self._kind, entry)
        if cluster["metadata"].get("deletionTimestamp"):
            await self._remove(cluster)
            return
        if cluster["spec"].get("syncMode") != "Pull":
            await self._forget_agent(name, "ClusterRoleBinding", "ClusterRole", "RoleBinding", "Role")
        await self._ensure_execution_namespace(cluster)
        if (
            constants.FINALIZER_CLUSTER not in (cluster["metadata"].get("finalizers") or ())
            or taints_of(cluster) is not None
        ):
            await self._registry.modify(self._kind, "", name, with_finalizer_and_taints, OPTIONS)

    async def _ensure_execution_namespace(self, cluster: Cluster) -> None:
        space = constants.execution_namespace(cluster["metadata"]["name"])
        if self._registry.cache.get("namespaces", "", space) is not None:
            return
        obj = {"metadata": {"name": space, "labels": {constants.SYSTEM: constants.TRUE}}}
        try:
            await self._registry.create(self._namespaces, "", decode_object(self._namespaces, obj, OPTIONS), OPTIONS)
        except StatusError as error:
            if error.is_already_exists:
                return
            message = f"Failed to create execution space({space}) for cluster({cluster['metadata']['name']}): {error}"
            self._recorder.event(cluster, "Warning", constants.EVENT_CREATE_EXECUTION_SPACE_FAILED, message)
            raise
        message = f"Create execution space({space}) for cluster({cluster['metadata']['name']}) succeed."
        self._recorder.event(cluster, "Normal", constants.EVENT_CREATE_EXECUTION_SPACE, message)

    async def _remove(self, cluster: Cluster) -> None:
        """A cluster goes when its Works are gone and nothing is scheduled to it any more, or nobody took it away in time."""
        name = cluster["metadata"]["name"]
        if constants.FINALIZER_CLUSTER not in (cluster["metadata"].get("finalizers") or ()):
            return
        space = constants.execution_namespace(name)
        namespace = self._registry.cache.get("namespaces", "", space)
        if namespace is not None:
            if not namespace.meta.deletionTimestamp:
                await self._registry.delete(self._namespaces, "", space, DeleteOptions())
            raise Requeue(WAIT)
        waited = time.time() - parse_rfc3339(cluster["metadata"]["deletionTimestamp"])
        if waited < self._leave_timeout and self._is_target(name):
            raise Requeue(WAIT)

        await self._recorder.settled(RECORDED)  # who sees that it is gone finds what is said of its end

        def released(obj: Object) -> Object:
            remove_finalizer(obj["metadata"], constants.FINALIZER_CLUSTER)
            return obj

        await self._forget_agent(name, "RoleBinding", "Role")  # the rest lets karmadactl unregister see the end
        is_agents = await self._note_end(name)
        await self._registry.modify(self._kind, "", name, released, OPTIONS)
        if is_agents:
            raise Requeue(SEES_END, timed=True)

    async def _note_end(self, cluster: str) -> bool:
        """Whether there is an agent's ClusterRole, which says from now on since when it is of no use."""

        def ended(role: Object) -> Object:
            meta = role["metadata"]
            return {
                **role,
                "metadata": {
                    **meta,
                    "annotations": {**(meta.get("annotations") or {}), ENDED: f"{rfc3339()} {cluster}"},
                },
            }

        role = agent_name(cluster)
        if self._registry.cache.get(ROLES, "", role) is None:
            return False
        with contextlib.suppress(StatusError):  # somebody was faster
            await self._registry.modify(self._registry.kind(RBAC, "v1", "clusterroles"), "", role, ended, OPTIONS)
        return True

    async def _end_agent(self, cluster: str) -> None:
        """Of a Cluster that is gone. One that is registered again within that time keeps its roles when it comes in time."""
        entry = self._registry.cache.get(ROLES, "", agent_name(cluster))
        second, _, name = ((entry.meta.annotations or {}) if entry is not None else {}).get(ENDED, "").partition(" ")
        if name != cluster:
            return
        with contextlib.suppress(ValueError):  # somebody has written it
            left = parse_rfc3339(second) + SEES_END - time.time()
            if left > 0:
                raise Requeue(min(left, SEES_END), timed=True)
        await self._forget_agent(cluster, "ClusterRoleBinding", "ClusterRole")

    async def _forget_agent(self, cluster: str, *kinds: str) -> None:
        """An agent's roles end with its cluster: the next one of that name is another one."""
        roles = agent_roles(cluster, constants.NAMESPACE_KARMADA_CLUSTER, constants.execution_namespace(cluster))
        for role in (each for each in reversed(roles) if each["kind"] in kinds):
            kind = self._registry.kind(RBAC, "v1", f"{role['kind'].lower()}s")
            name, namespace = role["metadata"]["name"], role["metadata"].get("namespace", "")
            if self._registry.cache.get(kind.resource, namespace, name) is not None:
                with contextlib.suppress(StatusError):  # somebody was faster
                    await self._registry.delete(kind, namespace, name, DeleteOptions())

    def _is_target(self, cluster: str) -> bool:
        needle = needles.field("name", cluster)
        for resource in BINDINGS:
            for entry in self._registry.cache.resource(resource).entries():
                if entry.mentions(needle) and any(
                    target.get("name") == cluster for target in (entry.decode().get("spec") or {}).get("clusters") or ()
                ):
                    return True
        return False


def taints_of(cluster: Cluster) -> list[Object] | None:
    """The taints that the Ready condition asks for, None when they are so already."""
    ready = find(conditions_of(cluster), constants.COND_READY)
    state = ready.get("status") if ready else None
    wanted = {
        "True": None,
        "False": constants.TAINT_NOT_READY,
        "Unknown": constants.TAINT_UNREACHABLE,
        None: constants.TAINT_NOT_READY,
    }.get(state, constants.TAINT_NOT_READY)
    current: list[Object] = (cluster.get("spec") or {}).get("taints") or []
    ours = (constants.TAINT_NOT_READY, constants.TAINT_UNREACHABLE)
    kept = [
        t for t in current if not (t.get("key") in ours and t.get("effect") == "NoSchedule" and t.get("key") != wanted)
    ]
    if wanted and not any(t.get("key") == wanted and t.get("effect") == "NoSchedule" for t in kept):
        kept.append({"key": wanted, "effect": "NoSchedule", "timeAdded": rfc3339()})
    return None if kept == current else kept


def with_finalizer_and_taints(cluster: Cluster) -> Cluster:
    finalizers = cluster["metadata"].setdefault("finalizers", [])
    if constants.FINALIZER_CLUSTER not in finalizers:
        finalizers.append(constants.FINALIZER_CLUSTER)
    taints = taints_of(cluster)
    if taints:
        cluster["spec"]["taints"] = taints
    elif taints is not None:
        cluster["spec"].pop("taints", None)
    return cluster
