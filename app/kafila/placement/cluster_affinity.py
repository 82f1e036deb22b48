"""Which clusters an affinity means, and which taints of a cluster keep a binding away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kafila.core import selectors
from kafila.core.values import AnyObject
from kafila.placement.objects import (
    labels_of,
    metadata,
    name,
    spec,
    status,
)
from kafila.placement.types import Cluster

Test = Callable[[AnyObject], bool]


def matcher(affinity: AnyObject | None) -> Test:
    """A test of clusters for a ClusterAffinity; compiled once, since it is asked for every cluster. None matches all."""
    if not affinity:
        return lambda cluster: True
    tests: list[Test] = []
    if excluded := affinity.get("exclude"):
        left_out = frozenset(excluded)
        tests.append(lambda cluster: name(cluster) not in left_out)
    if wanted := affinity.get("clusterNames"):
        named = frozenset(wanted)
        tests.append(lambda cluster: name(cluster) in named)
    if affinity.get("labelSelector") is not None:
        tests.append(_label_test(affinity["labelSelector"]))
    if affinity.get("fieldSelector") is not None:
        tests.extend(map(_field_test, affinity["fieldSelector"].get("matchExpressions") or ()))
    if len(tests) == 1:
        return tests[0]
    return lambda cluster: all(test(cluster) for test in tests)


def cluster_matches(cluster: Cluster, affinity: AnyObject | None) -> bool:
    return matcher(affinity)(cluster)


def _label_test(label_selector: AnyObject) -> Test:
    try:
        selector = selectors.from_object(label_selector)
    except selectors.SelectorError:
        return lambda cluster: False
    return lambda cluster: selector.matches(labels_of(cluster))


def _field_test(expression: AnyObject) -> Test:
    """One expression on ``provider``, ``region`` or ``zone``. A cluster without the field has no value, not an empty one."""
    key, operator = expression.get("key"), expression.get("operator")
    values = frozenset(expression.get("values") or ())
    found = _field_values(key)
    if operator == "In":
        return lambda cluster: not values.isdisjoint(found(cluster))
    if operator == "NotIn":
        return lambda cluster: values.isdisjoint(found(cluster))
    if operator == "Exists":
        return lambda cluster: bool(found(cluster))
    if operator == "DoesNotExist":
        return lambda cluster: not found(cluster)
    return lambda cluster: False


def _field_values(key: Any) -> Callable[[AnyObject], Sequence[str]]:
    if key == "zone":
        return lambda cluster: spec(cluster).get("zones") or ()
    if key in ("provider", "region"):
        return lambda cluster: (spec(cluster)[key],) if spec(cluster).get(key) else ()
    return lambda cluster: ()


def tolerates(toleration: AnyObject, taint: AnyObject) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Equal":
        return (toleration.get("value") or "") == (taint.get("value") or "")
    return operator == "Exists"


def untolerated_taint(cluster: Cluster, tolerations: Iterable[AnyObject] | None) -> AnyObject | None:
    """The first taint that keeps new work away (NoSchedule or NoExecute) and that nothing tolerates."""
    tolerations = tuple(tolerations or ())
    for taint in spec(cluster).get("taints") or ():
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not any(tolerates(t, taint) for t in tolerations):
            found: AnyObject = taint
            return found
    return None


def taint_text(taint: AnyObject) -> str:
    """``key=value:effect`` as Kubernetes writes it."""
    key, value, effect = taint.get("key") or "", taint.get("value") or "", taint.get("effect") or ""
    if not effect:
        return f"{key}={value}:" if value else key
    return f"{key}={value}:{effect}" if value else f"{key}:{effect}"


def api_enabled(cluster: Cluster, api_version: str, kind: str) -> bool:
    for enablement in status(cluster).get("apiEnablements") or ():
        if enablement.get("groupVersion") == api_version:
            if any(resource.get("kind") == kind for resource in enablement.get("resources") or ()):
                return True
    return False


def served_kinds(cluster: Cluster) -> set[tuple[str, str]]:
    """(apiVersion, kind) of all that the cluster says it serves."""
    return {
        (enablement.get("groupVersion") or "", resource.get("kind") or "")
        for enablement in status(cluster).get("apiEnablements") or ()
        for resource in enablement.get("resources") or ()
    }


def is_terminating(cluster: Cluster) -> bool:
    return bool(metadata(cluster).get("deletionTimestamp"))
