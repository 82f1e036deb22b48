"""What is stored here and not acted on yet, said with every write of it: one table, which shrinks as parts are built.

Kinds that are mostly stored as templates for members (NetworkPolicies) are not in it: hardly anybody expects the control plane
itself to act on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kafila.catalog.catalog import is_served_here
from kafila.catalog.kind import Kind
from kafila.core import feature_gates as feature
from kafila.core.feature_gates import Gates
from kafila.core.values import Object
from kafila.placement.constants import PURGE_LATER


def unacted(kind: Kind, obj: Object, gates: Gates) -> list[str]:
    """Warnings for what somebody has written. ``obj``: as it will be stored."""
    find = _FIELDS.get(kind.resource)
    return list(find(obj.get("spec") or {}, gates)) if find is not None else []


def _off(field: str, gate: str, gates: Gates) -> Iterator[str]:
    if gate not in gates:
        yield f"{field}: has no effect: the feature gate {gate} is off (--feature-gates={gate}=true)"


def _policy(spec: Object, gates: Gates) -> Iterator[str]:
    failover, placement = spec.get("failover") or {}, spec.get("placement") or {}
    for field in ("application", "cluster"):
        if ((failover.get(field) or {}).get("statePreservation") or {}).get("rules"):
            yield from _off(f"spec.failover.{field}.statePreservation", feature.STATEFUL_FAILOVER_INJECTION, gates)
    if (failover.get("application") or {}).get("purgeMode") in PURGE_LATER:
        yield from _off("spec.failover.application.purgeMode", feature.GRACEFUL_EVICTION, gates)
    if failover.get("cluster") is not None:
        yield from _off("spec.failover.cluster", feature.FAILOVER, gates)
    if spec.get("preemption") == "Always":
        yield from _off("spec.preemption", feature.POLICY_PREEMPTION, gates)
    if spec.get("schedulePriority") is not None:
        yield from _off("spec.schedulePriority", feature.PRIORITY_BASED_SCHEDULING, gates)
    if spec.get("propagateDeps"):
        yield from _off("spec.propagateDeps", feature.PROPAGATE_DEPS, gates)
    if placement.get("workloadAffinity") is not None:
        yield from _off("spec.placement.workloadAffinity", feature.WORKLOAD_AFFINITY, gates)
    if any(constraint.get("spreadByLabel") for constraint in placement.get("spreadConstraints") or ()):
        yield "spec.placement.spreadConstraints: spreadByLabel has no effect, here and in Karmada"


def _taint_policy(spec: Object, gates: Gates) -> Iterator[str]:
    yield from _off("ClusterTaintPolicy", feature.FAILOVER, gates)


def _quota(spec: Object, gates: Gates) -> Iterator[str]:
    if spec.get("overall"):
        yield from _off("spec.overall", feature.FEDERATED_QUOTA_ENFORCEMENT, gates)


def _cluster(spec: Object, gates: Gates) -> Iterator[str]:
    if spec.get("resourceModels"):
        yield from _off("spec.resourceModels", feature.CUSTOMIZED_CLUSTER_RESOURCE_MODELING, gates)


def _customization(spec: Object, gates: Gates) -> Iterator[str]:
    if (spec.get("customizations") or {}).get("componentResource") is not None:
        yield from _off("spec.customizations.componentResource", feature.MULTIPLE_POD_TEMPLATES_SCHEDULING, gates)


def _api_service(spec: Object, gates: Gates) -> Iterator[str]:
    group = spec.get("group") or ""
    if spec.get("service") is not None and is_served_here(group):
        yield f'spec.service: the group "{group}" is served by this server, which sends no requests for it to the service'


def _multi_cluster_service(spec: Object, gates: Gates) -> Iterator[str]:
    yield from _off("MultiClusterService", feature.MULTI_CLUSTER_SERVICE, gates)
    if "LoadBalancer" in (spec.get("types") or ()):
        yield "spec.types: LoadBalancer has no effect, here and in Karmada: no load balancer is made"


def _multi_cluster_ingress(spec: Object, gates: Gates) -> Iterator[str]:
    yield "spec: has no effect, here and in Karmada: a MultiClusterIngress is for a controller of somebody else's"


def _service_import(spec: Object, gates: Gates) -> Iterator[str]:
    if spec.get("type") == "Headless":
        yield "spec.type: Headless has no effect, here and in Karmada: no Service is derived"


_FIELDS: Final[dict[str, Callable[[Object, Gates], Iterator[str]]]] = {
    "propagationpolicies.policy.karmada.io": _policy,
    "clusterpropagationpolicies.policy.karmada.io": _policy,
    "clustertaintpolicies.policy.karmada.io": _taint_policy,
    "federatedresourcequotas.policy.karmada.io": _quota,
    "clusters.cluster.karmada.io": _cluster,
    "resourceinterpretercustomizations.config.karmada.io": _customization,
    "apiservices.apiregistration.k8s.io": _api_service,
    "multiclusteringresses.networking.karmada.io": _multi_cluster_ingress,
    "multiclusterservices.networking.karmada.io": _multi_cluster_service,
    "serviceimports.multicluster.x-k8s.io": _service_import,
}
