"""What passing through Karmada's mutating webhooks leaves in an object.

A webhook reads the object into Go structs and writes them out again. Fields without ``omitempty`` come out with their zero values
when the client left them out (and satisfy "required"), and empty lists that may be left out are gone. Both are visible to clients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from kafila.catalog.karmada.validation import NULL
from kafila.core.quantity import QuantityError, canonical
from kafila.core.values import Object

_ZEROS: Final[tuple[Any, ...]] = ([], "", 0, False)


@dataclass(frozen=True)
class Struct:
    """``zeros``: written even when empty. ``held``: structs that are always there. ``inner``: pointers and lists of structs.

    ``quantities``: come out in their canonical text.
    """

    zeros: dict[str, Any] = field(default_factory=dict)
    held: dict[str, Struct] = field(default_factory=dict)
    inner: dict[str, Struct] = field(default_factory=dict)
    optional: tuple[
        str, ...
    ] = ()  # further fields that disappear with Go's zero value: empty lists and texts, 0, false
    quantities: tuple[str, ...] = ()


def pass_through(obj: Object, struct: Struct) -> None:
    """Changes ``obj`` in place."""
    for name in struct.inner:
        if obj.get(name) == [] and name not in struct.zeros:
            del obj[name]
    for name in struct.optional:
        if name in obj and obj[name] in _ZEROS:
            del obj[name]
    for name, zero in struct.zeros.items():
        if obj.get(name) is None:
            obj[name] = zero
    for name in struct.quantities:
        if type(obj.get(name)) in (str, int):
            obj[name] = _canonical(obj[name])
    for name, child in struct.held.items():
        if obj.get(name) is None:
            obj[name] = {}
        _enter(obj[name], child)
    for name, child in struct.inner.items():
        _enter(obj.get(name), child)


def _canonical(amount: str | int) -> str | int:
    try:
        return canonical(str(amount))
    except QuantityError:
        return amount  # for validation to refuse


def _enter(value: Any, struct: Struct) -> None:
    for item in value if type(value) is list else (value,):
        if type(item) is dict:  # anything else is for validation to refuse
            pass_through(item, struct)


_REQUIREMENT: Final = Struct(zeros={"key": "", "operator": ""}, optional=("values",))
_SELECTOR: Final = Struct(inner={"matchExpressions": _REQUIREMENT})
_CLUSTERS: Final = Struct(
    inner={"labelSelector": _SELECTOR, "fieldSelector": _SELECTOR}, optional=("clusterNames", "exclude")
)
_TERM: Final = Struct(zeros={"affinityName": ""}, inner=dict(_CLUSTERS.inner), optional=_CLUSTERS.optional)
_TERMS: Final = Struct(zeros=_TERM.zeros, inner={**_TERM.inner, "overflowAffinities": _TERM}, optional=_TERM.optional)
_WEIGHTS: Final = Struct(
    inner={"staticWeightList": Struct(zeros={"weight": 0}, held={"targetCluster": _CLUSTERS})},
)
_GROUP: Final = Struct(zeros={"groupByLabelKey": ""})
_PLACEMENT: Final = Struct(
    inner={
        "clusterAffinity": _CLUSTERS,
        "clusterAffinities": _TERMS,
        "replicaScheduling": Struct(inner={"weightPreference": _WEIGHTS}),
        "workloadAffinity": Struct(inner={"affinity": _GROUP, "antiAffinity": _GROUP}),
    },
    optional=("clusterTolerations", "spreadConstraints"),
)
_STATE: Final = Struct(zeros={"rules": NULL}, inner={"rules": Struct(zeros={"aliasLabelName": "", "jsonPath": ""})})
_FAILOVER: Final = Struct(
    inner={
        "application": Struct(held={"decisionConditions": Struct(zeros={"tolerationSeconds": 300})}, inner={"statePreservation": _STATE}),
        "cluster": Struct(inner={"statePreservation": _STATE}),
    }
)  # fmt: skip
_RESOURCE: Final = Struct(zeros={"apiVersion": "", "kind": ""}, inner={"labelSelector": _SELECTOR})
PROPAGATION: Final = Struct(
    zeros={"resourceSelectors": NULL},
    held={"placement": _PLACEMENT},
    inner={
        "resourceSelectors": _RESOURCE,
        "failover": _FAILOVER,
        "suspension": Struct(inner={"dispatchingOnClusters": Struct(optional=("clusterNames",))}),
        "schedulePriority": Struct(zeros={"priorityClassSource": "", "priorityClassName": ""}),
    },
    optional=(
        "dependentOverrides",
        "propagateDeps",
        "schedulerName",
        "preemption",
        "conflictResolution",
        "activationPreference",
    ),
)
_TEXT_PATCH: Final = Struct(zeros={"subPath": "", "operator": ""})
_COMMAND: Final = Struct(zeros={"containerName": "", "operator": ""}, optional=("value",))
_MARKS: Final = Struct(zeros={"operator": "", "value": NULL})
_OVERRIDERS: Final = Struct(
    inner={
        "plaintext": Struct(zeros={"path": "", "operator": ""}),
        "imageOverrider": Struct(zeros={"component": "", "operator": ""}, inner={"predicate": Struct(zeros={"path": ""})}),
        "commandOverrider": _COMMAND,
        "argsOverrider": _COMMAND,
        "labelsOverrider": _MARKS,
        "annotationsOverrider": _MARKS,
        "fieldOverrider": Struct(zeros={"fieldPath": ""}, inner={"json": _TEXT_PATCH, "yaml": _TEXT_PATCH}),
    }
)  # fmt: skip
OVERRIDE: Final = Struct(
    held={"overriders": _OVERRIDERS},
    inner={
        "resourceSelectors": _RESOURCE,
        "targetCluster": _CLUSTERS,
        "overrideRules": Struct(held={"overriders": _OVERRIDERS}, inner={"targetCluster": _CLUSTERS}),
    },
)
_REFERENCE: Final = Struct(
    zeros={"apiVersion": "", "kind": "", "name": ""}, optional=("namespace", "uid", "resourceVersion")
)
_TARGETS: Final = Struct(zeros={"name": ""}, optional=("replicas",))
BINDING: Final = Struct(
    held={"resource": _REFERENCE},
    inner={
        "components": Struct(zeros={"name": "", "replicas": 0}),
        "clusters": _TARGETS,
        "placement": _PLACEMENT,
        "failover": _FAILOVER,
        "gracefulEvictionTasks": Struct(
            zeros={"fromCluster": "", "reason": "", "producer": ""},
            optional=("purgeMode", "message", "clustersBeforeFailover"),
        ),
        "requiredBy": Struct(zeros={"name": ""}, inner={"clusters": _TARGETS}, optional=("namespace",)),
    },
    optional=("propagateDeps", "replicas", "schedulerName", "conflictResolution"),
)
_METRIC_TARGET: Final = Struct(zeros={"type": ""}, quantities=("value", "averageValue"))
_METRIC: Final = Struct(zeros={"name": ""}, inner={"selector": _SELECTOR})
_POD_METRIC: Final = Struct(held={"metric": _METRIC, "target": _METRIC_TARGET})
_RESOURCE_METRIC: Final = Struct(zeros={"name": ""}, held={"target": _METRIC_TARGET})
_TARGET: Final = Struct(zeros={"kind": "", "name": ""}, optional=("apiVersion",))
_RULES: Final = Struct(
    inner={"policies": Struct(zeros={"type": "", "value": 0, "periodSeconds": 0})}, quantities=("tolerance",)
)
FEDERATED_HPA: Final = Struct(
    zeros={"maxReplicas": 0},
    held={"scaleTargetRef": _TARGET},
    inner={
        "metrics": Struct(
            zeros={"type": ""},
            inner={
                "object": Struct(held={"describedObject": _TARGET, **_POD_METRIC.held}),
                "pods": _POD_METRIC,
                "resource": _RESOURCE_METRIC,
                "containerResource": Struct(zeros={"name": "", "container": ""}, held=_RESOURCE_METRIC.held),
                "external": _POD_METRIC,
            },
        ),
        "behavior": Struct(inner={"scaleUp": _RULES, "scaleDown": _RULES}),
    },
)
WORK: Final = Struct(held={"workload": Struct(optional=("manifests",))})
_NAMED: Final = Struct(zeros={"name": ""})
MULTI_CLUSTER_SERVICE: Final = Struct(
    zeros={"types": NULL},
    held={"range": Struct(optional=("clusterNames",))},
    inner={
        "ports": Struct(zeros={"port": 0}, optional=("name",)),
        "providerClusters": _NAMED,
        "consumerClusters": _NAMED,
    },
    optional=("serviceProvisionClusters", "serviceConsumptionClusters"),
)
