"""Rules about spec.placement and spec.failover of propagation policies."""

from __future__ import annotations

from collections.abc import Sequence

from kafila.catalog.karmada.affinity import validate_cluster_affinity
from kafila.core.errors import FieldError
from kafila.core.names import qualified_name
from kafila.core.values import Object
from kafila.placement import constants

Found = list[FieldError]

# in the order of the Go structs, in which errors show them
_TERM_FIELDS = ("affinityName", "labelSelector", "fieldSelector", "clusterNames", "exclude")
_SPREAD_FIELDS = ("spreadByField", "spreadByLabel", "maxGroups", "minGroups")


def validate_placement(placement: Object, path: str) -> Found:
    found: Found = []
    affinities: Sequence[Object] | None = placement.get("clusterAffinities")
    if placement.get("clusterAffinity") is not None and affinities is not None:
        text = "clusterAffinities cannot co-exist with clusterAffinity"
        found.append(FieldError.invalid(path, placement, text))
    allowed = overflow_allowed(placement.get("replicaScheduling"))
    for index, term in enumerate(affinities or ()):
        overflow = term.get("overflowAffinities")
        if overflow is not None and not allowed:
            text = "overflowAffinities can only be used together with dynamic weight or aggregated scheduling"
            at = f"{path}.clusterAffinities[{index}].overflowAffinities"
            found.append(FieldError.invalid(at, _in_order(overflow), text))
    found += validate_cluster_affinity(placement.get("clusterAffinity"), f"{path}.clusterAffinity")
    found += _affinities(affinities or [], f"{path}.clusterAffinities")
    found += _spread_constraints(placement.get("spreadConstraints") or [], f"{path}.spreadConstraints")
    found += _workload_affinity(placement.get("workloadAffinity"), f"{path}.workloadAffinity")
    found += _tolerations(placement.get("clusterTolerations") or [], f"{path}.clusterTolerations")
    return found


def overflow_allowed(scheduling: Object | None) -> bool:
    """Overflow needs a division by what is free: aggregated, or weighted by available replicas."""
    if not scheduling or scheduling.get("replicaSchedulingType") != constants.DIVIDED:
        return False
    preference = scheduling.get("replicaDivisionPreference")
    if preference == constants.WEIGHTED:
        return bool((scheduling.get("weightPreference") or {}).get("dynamicWeight"))
    return preference == constants.AGGREGATED


def _affinities(terms: Sequence[Object], path: str) -> Found:
    found: Found = []
    names: set[str] = set()
    for index, term in enumerate(terms):
        at, name = f"{path}[{index}]", term.get("affinityName", "")
        found += [FieldError.invalid(at, name, why) for why in qualified_name(name)]
        if name in names:
            found.append(FieldError.invalid(path, terms, "each affinity term in a policy must have a unique name"))
        names.add(name)
        found += validate_cluster_affinity(term, at)
        found += _overflow(term, at)
    return found


def _overflow(term: Object, path: str) -> Found:
    overflow: Sequence[Object] | None = term.get("overflowAffinities")
    if overflow is None:
        return []
    found: Found = []
    if _selects_nothing(term):
        text = "overflowAffinities can only be used together with the inline ClusterAffinity"
        found.append(FieldError.invalid(f"{path}.overflowAffinities", _in_order(overflow), text))
    names = {term.get("affinityName", "")}
    for index, group in enumerate(overflow):
        at, name = f"{path}.overflowAffinities[{index}]", group.get("affinityName", "")
        found += [FieldError.invalid(f"{at}.affinityName", name, why) for why in qualified_name(name)]
        if name in names:
            text = "overflow affinity name must be unique and must not duplicate the primary group's affinityName"
            found.append(FieldError.invalid(f"{at}.affinityName", name, text))
        names.add(name)
        found += validate_cluster_affinity(group, at)
    return found


def _in_order(objects: Sequence[Object], fields: tuple[str, ...] = _TERM_FIELDS) -> list[Object]:
    return [{name: one[name] for name in fields if name in one} for one in objects]


def _selects_nothing(affinity: Object) -> bool:
    if affinity.get("labelSelector") is not None or affinity.get("fieldSelector") is not None:
        return False
    return not affinity.get("clusterNames") and not affinity.get("exclude")


def _spread_constraints(constraints: Sequence[Object], path: str) -> Found:
    found: Found = []
    seen: dict[str, bool] = {}  # field -> whether its repetition was reported
    constraints = _in_order(constraints, _SPREAD_FIELDS)
    for index, one in enumerate(constraints):
        at = f"{path}[{index}]"
        by_field = one.get("spreadByField") or ""
        low, high = one.get("minGroups") or 0, one.get("maxGroups") or 0
        wrong = (
            (by_field and one.get("spreadByLabel"), "spreadByLabel should not co-exist with spreadByField"),
            (low < 0, "minGroups lower than 0 is not allowed"),
            (high < 0, "maxGroups lower than 0 is not allowed"),
            (0 < high < low, "maxGroups lower than minGroups is not allowed"),
        )
        found += [FieldError.invalid(at, one, text) for is_wrong, text in wrong if is_wrong]
        if by_field:
            if seen.get(by_field) is False:
                text = f"multiple {by_field} spread constraints are not allowed"
                found.append(FieldError.invalid(path, constraints, text))
            seen[by_field] = by_field in seen
    if seen and "cluster" not in seen:
        text = (
            "the cluster spread constraint must be enabled in one of the constraints "
            "in case of SpreadByField is enabled"
        )
        found.append(FieldError.invalid(path, constraints, text))
    return found


def _workload_affinity(affinity: Object | None, path: str) -> Found:
    if not affinity:
        return []
    found: Found = []
    keys = []
    for name in ("affinity", "antiAffinity"):
        term = affinity.get(name)
        if term is not None:
            key = term.get("groupByLabelKey", "")
            keys.append(key)
            found += [FieldError.invalid(f"{path}.{name}.groupByLabelKey", key, why) for why in qualified_name(key)]
    if len(keys) == 2 and keys[0] == keys[1]:
        text = "affinity and antiAffinity must not use the same groupByLabelKey"
        found.append(FieldError.invalid(path, affinity, text))
    return found


def _tolerations(tolerations: Sequence[Object], path: str) -> Found:
    # Kubernetes' Lt and Gt compare numbers on nodes; Karmada gives them no meaning for clusters.
    return [
        FieldError.not_supported(f"{path}[{index}].operator", toleration["operator"], ("", "Exists", "Equal"))
        for index, toleration in enumerate(tolerations)
        if toleration.get("operator") in ("Lt", "Gt")
    ]


def validate_failover(failover: Object | None, path: str) -> Found:
    if not failover:
        return []
    found: Found = []
    application, cluster = failover.get("application"), failover.get("cluster")
    if application is not None:
        found += _application_failover(application, f"{path}.application")
    if cluster is not None:
        found += _state_preservation(cluster.get("statePreservation"), f"{path}.cluster.statePreservation")
    return found


def _application_failover(application: Object, path: str) -> Found:
    found: Found = []
    tolerated = (application.get("decisionConditions") or {}).get("tolerationSeconds")
    if tolerated is not None and tolerated < 0:
        at = f"{path}.decisionConditions.tolerationSeconds"
        found.append(FieldError.invalid(at, tolerated, "must be greater than or equal to 0"))
    graceful = application.get("purgeMode") in constants.PURGE_LATER
    grace = application.get("gracePeriodSeconds")
    at = f"{path}.gracePeriodSeconds"
    if not graceful and grace is not None:
        found.append(FieldError.invalid(at, grace, "only takes effect when purgeMode is gracefully"))
    if graceful and grace is None:
        found.append(FieldError.invalid(at, None, "should not be empty when purgeMode is gracefully"))
    if grace is not None and grace <= 0:
        found.append(FieldError.invalid(at, grace, "must be greater than 0"))
    return found + _state_preservation(application.get("statePreservation"), f"{path}.statePreservation")


def _state_preservation(preservation: Object | None, path: str) -> Found:
    found: Found = []
    for index, rule in enumerate((preservation or {}).get("rules") or ()):
        name = rule.get("aliasLabelName", "")
        at = f"{path}.rules[{index}].aliasLabelName"
        found += [FieldError.invalid(at, name, why) for why in qualified_name(name)]
    return found
