"""What passing through Karmada's mutating webhooks leaves in an object.

A webhook reads the object into Go structs and writes them out again. Fields without ``omitempty`` come out with their zero values
when the client left them out (and satisfy "required"), and empty lists that may be left out are gone. Both are visible to clients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from app.catalog.karmada.validation import NULL

Object = dict[str, Any]


@dataclass(frozen=True)
class Struct:
    """``zeros``: written even when empty. ``held``: structs that are always there. ``inner``: pointers and lists of structs."""

    zeros: dict[str, Any] = field(default_factory=dict)
    held: dict[str, Struct] = field(default_factory=dict)
    inner: dict[str, Struct] = field(default_factory=dict)
    lists: tuple[str, ...] = ()  # further lists and maps that disappear when they are empty


def pass_through(obj: Object, struct: Struct) -> None:
    """Changes ``obj`` in place."""
    for name in (*struct.inner, *struct.lists):
        if obj.get(name) == [] and name not in struct.zeros:
            del obj[name]
    for name, zero in struct.zeros.items():
        if obj.get(name) is None:
            obj[name] = zero
    for name, child in struct.held.items():
        if obj.get(name) is None:
            obj[name] = {}
        _enter(obj[name], child)
    for name, child in struct.inner.items():
        _enter(obj.get(name), child)


def _enter(value: Any, struct: Struct) -> None:
    for item in value if type(value) is list else (value,):
        if type(item) is dict:  # anything else is for validation to refuse
            pass_through(item, struct)


_REQUIREMENT: Final = Struct(zeros={"key": "", "operator": ""}, lists=("values",))
_SELECTOR: Final = Struct(inner={"matchExpressions": _REQUIREMENT})
_CLUSTERS: Final = Struct(
    inner={"labelSelector": _SELECTOR, "fieldSelector": _SELECTOR}, lists=("clusterNames", "exclude")
)
_TERM: Final = Struct(zeros={"affinityName": ""}, inner=dict(_CLUSTERS.inner), lists=_CLUSTERS.lists)
_TERMS: Final = Struct(zeros=_TERM.zeros, inner={**_TERM.inner, "overflowAffinities": _TERM}, lists=_TERM.lists)
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
    lists=("clusterTolerations", "spreadConstraints"),
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
        "suspension": Struct(inner={"dispatchingOnClusters": Struct(lists=("clusterNames",))}),
        "schedulePriority": Struct(zeros={"priorityClassSource": "", "priorityClassName": ""}),
    },
    lists=("dependentOverrides",),
)
_TEXT_PATCH: Final = Struct(zeros={"subPath": "", "operator": ""})
_COMMAND: Final = Struct(zeros={"containerName": "", "operator": ""}, lists=("value",))
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
