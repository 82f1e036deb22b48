"""Which part of an affinity a cluster does not meet."""

from __future__ import annotations

from typing import Any

from kafila.core import selectors
from kafila.core.values import AnyObject
from kafila.placement.cluster_affinity import cluster_matches
from kafila.placement.objects import labels_of, name
from kafila.placement.spec import is_workload, term_named
from kafila.placement.types import Cluster, ResourceBindingSpec


def why_outside(cluster: Cluster, binding_spec: ResourceBindingSpec, affinity: str) -> str:
    placement = binding_spec.get("placement") or {}
    wanted: AnyObject | None = placement.get("clusterAffinity")
    if wanted is None:
        term = term_named(placement, affinity)
        wanted = term if term is not None else {}
        overflow = term is not None and term.get("overflowAffinities") and is_workload(binding_spec)
        groups = f" (affinity {affinity}{' and its overflow affinities' if overflow else ''})"
    else:
        groups = ""
    return "; ".join(_unmet(cluster, wanted)) + groups


def _unmet(cluster: Cluster, affinity: AnyObject) -> list[str]:
    found = []
    if name(cluster) in (affinity.get("exclude") or ()):
        found.append("named in exclude")
    if affinity.get("clusterNames") and name(cluster) not in affinity["clusterNames"]:
        found.append(f"not named in clusterNames {_listed(affinity['clusterNames'])}")
    label_selector = affinity.get("labelSelector")
    if label_selector is not None and not cluster_matches(cluster, {"labelSelector": label_selector}):
        found.append(_labels(cluster, label_selector))
    for expression in (affinity.get("fieldSelector") or {}).get("matchExpressions") or ():
        if not cluster_matches(cluster, {"fieldSelector": {"matchExpressions": [expression]}}):
            found.append(_field(cluster, expression))
    return found or ["matches now"]


def _labels(cluster: Cluster, label_selector: AnyObject) -> str:
    try:
        selector = selectors.from_object(label_selector)
    except selectors.SelectorError as error:
        return f"the label selector is not valid: {error}"
    has = ",".join(f"{key}={value}" for key, value in sorted(labels_of(cluster).items()))
    return f"labels {selector} wanted, it has {has or 'none'}"


def _field(cluster: Cluster, expression: AnyObject) -> str:
    key, operator, values = expression.get("key"), expression.get("operator"), expression.get("values") or ()
    has: Any = (cluster.get("spec") or {}).get("zones" if key == "zone" else str(key)) or "none"
    wanted = f"{key} {operator} {_listed(values)}" if values else f"{key} {operator}"
    return f"{wanted} wanted, it has {has if isinstance(has, str) else _listed(has)}"


def _listed(values: Any) -> str:
    shown = ", ".join(list(values)[:5])
    return f"[{shown}, …]" if len(values) > 5 else f"[{shown}]"
