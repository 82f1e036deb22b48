"""Which clusters can take a binding at all, and why the others cannot. The reasons are Karmada's texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from kafila.core.feature_gates import DEFAULT_GATES, WORKLOAD_AFFINITY, Gates
from kafila.placement.allowed_clusters import NOT_ALLOWED
from kafila.placement.cluster_affinity import taint_text, untolerated_taint
from kafila.placement.objects import identity_in, namespace
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot, snapshot_of
from kafila.placement.scheduler.plugins import SchedulerPlugin, asked_to_filter
from kafila.placement.spec import evicting_clusters, is_workload, target_names, term_named, terms
from kafila.placement.types import Binding, Cluster, Placement, ResourceBindingSpec

Test = Callable[[ClusterInfo], str]  # a cluster -> the reason why it is left out, or ""

# The names of Karmada's filter plugins.
AFFINITY: Final = "ClusterAffinity"
TAINTS: Final = "TaintToleration"
API: Final = "APIEnablement"
SPREAD: Final = "SpreadConstraint"
EVICTION: Final = "ClusterEviction"
WORKLOAD: Final = "WorkloadAffinity"
ANTI_WORKLOAD: Final = "WorkloadAntiAffinity"
ALLOWED: Final = "AllowedClusters"  # ours
EXPRESSION: Final = "ClusterExpression"  # ours
MEANT: Final = (AFFINITY, EXPRESSION)  # those that ask whether the placement means a cluster

NOT_IN_AFFINITY = "cluster(s) did not match the placement cluster affinity constraint"
NOT_BY_EXPRESSION = "cluster(s) did not match the cluster expression"
NO_ANSWER = "cluster(s) failed to evaluate the cluster expression"
NO_API = "cluster(s) did not have the API resource"
EVICTING = "cluster(s) is in the process of eviction"
NOT_WITH_AFFINITY_GROUP = "ResourceBinding with the same affinity group does not target this cluster"
WITH_ANTI_AFFINITY_GROUP = "cluster already has workload with the same anti-affinity group"


class Filter(NamedTuple):
    name: str
    test: Test


class Rejection(NamedTuple):
    filter: str
    reason: str


_FORBIDDEN: Final = Rejection(ALLOWED, NOT_ALLOWED)


def feasible(
    spec: ResourceBindingSpec,
    affinity: str,
    clusters: Sequence[Cluster] | ClusterSnapshot,
    *,
    gates: Gates = DEFAULT_GATES,
    peers: Iterable[Binding] = (),
    plugins: Sequence[SchedulerPlugin] = (),
    allowed: frozenset[str] | None = None,
    expression: str = "",
    kept: frozenset[str] = frozenset(),
) -> tuple[Sequence[ClusterInfo], Mapping[str, Rejection]]:
    """The clusters that pass every filter, and the rejection of each that does not; neither may be changed.

    ``affinity`` names the term of ``clusterAffinities`` in use. ``peers`` are the other bindings of the namespace; only
    workload affinity needs them. ``allowed``: the clusters that the namespace may use, None for all; ``expression``: the
    cluster expression of the placement; ``kept``: clusters that the binding is in and that count as meant by its placement. ``plugins`` are asked last. Terminating clusters are in neither answer. Unready ones are kept away by their taints.
    """
    snapshot = snapshot_of(clusters)
    fit, rejected = _by_placement(spec, affinity, snapshot, expression)
    present = target_names(spec)
    extra = _extra_filters(spec, present, gates, peers)
    extra += [Filter(plugin.name, _plugin_filter(plugin, spec)) for plugin in plugins]
    again = present & rejected.keys()
    if not extra and not again and allowed is None:
        return fit, rejected
    tests = [*_sparing(kept, _placement_filters(spec, affinity, present, snapshot, expression)), *extra]
    passed: list[ClusterInfo] = []
    refused: dict[str, Rejection] = {}
    for member in snapshot.members:
        if member.terminating:
            continue
        if allowed is not None and member.name not in allowed:
            rejection: Rejection | None = (
                _FORBIDDEN  # whatever else: what other filters say of it is not for its namespace
            )
        elif member.name not in rejected:
            rejection = _first_rejection(extra, member)
        elif member.name in again:
            rejection = _first_rejection(tests, member)
        else:
            rejection = rejected[member.name]
        if rejection is None:
            passed.append(member)
        else:
            refused[member.name] = rejection
    return passed, refused


def checked(
    spec: ResourceBindingSpec,
    affinity: str,
    cluster: Cluster,
    *,
    gates: Gates = DEFAULT_GATES,
    peers: Iterable[Binding] = (),
    expression: str = "",
) -> list[Rejection]:
    """Every filter's answer about one cluster, the reason "" where it passes."""
    present, member = target_names(spec), ClusterInfo(cluster)
    tests = _placement_filters(spec, affinity, present, ClusterSnapshot([member]), expression)
    tests += _extra_filters(spec, present, gates, peers)
    return [Rejection(called, test(member)) for called, test in tests]


def placement_key(spec: ResourceBindingSpec, affinity: str) -> tuple[Any, ...]:
    """The same for bindings that the filters of placement and kind answer alike."""
    resource = spec.get("resource") or {}
    return (
        orjson.dumps(spec.get("placement")),
        affinity,
        resource.get("apiVersion"),
        resource.get("kind"),
        is_workload(spec),
    )


def _by_placement(
    spec: ResourceBindingSpec, affinity: str, snapshot: ClusterSnapshot, expression: str
) -> tuple[list[ClusterInfo], dict[str, Rejection]]:
    """For a binding that is nowhere yet: many bindings share placement and kind, and so the answer."""
    key = ("fit", expression, *placement_key(spec, affinity))
    return snapshot.remember(
        key, lambda: _sifted(_placement_filters(spec, affinity, frozenset(), snapshot, expression), snapshot)
    )


def _sifted(tests: Sequence[Filter], snapshot: ClusterSnapshot) -> tuple[list[ClusterInfo], dict[str, Rejection]]:
    fit: list[ClusterInfo] = []
    rejected: dict[str, Rejection] = {}
    for member in snapshot.members:
        if member.terminating:
            continue
        rejection = _first_rejection(tests, member)
        if rejection is None:
            fit.append(member)
        else:
            rejected[member.name] = rejection
    return fit, rejected


def _sparing(kept: frozenset[str], tests: Sequence[Filter]) -> list[Filter]:
    def spared(test: Test) -> Test:
        return lambda member: "" if member.name in kept else test(member)

    return [Filter(each.name, spared(each.test)) if each.name in MEANT else each for each in tests]


def _first_rejection(tests: Sequence[Filter], member: ClusterInfo) -> Rejection | None:
    for called, test in tests:
        if reason := test(member):
            return Rejection(called, reason)
    return None


def _placement_filters(
    spec: ResourceBindingSpec, affinity: str, present: frozenset[str], snapshot: ClusterSnapshot, expression: str
) -> list[Filter]:
    # Karmada runs them in random order. What the user wrote comes first, so that it is the reason shown.
    placement = spec.get("placement") or {}
    return [
        Filter(AFFINITY, _affinity_filter(spec, placement, affinity, snapshot)),
        *([Filter(EXPRESSION, _expression_filter(expression, present))] if expression else ()),
        Filter(TAINTS, _taint_filter(placement, present, snapshot)),
        Filter(API, _api_filter(spec, present, snapshot)),
        *(Filter(SPREAD, test) for test in _spread_filters(placement, snapshot)),
    ]


def _extra_filters(
    spec: ResourceBindingSpec, present: frozenset[str], gates: Gates, peers: Iterable[Binding]
) -> list[Filter]:
    """Those that hang on more than placement and kind."""
    found: list[Filter] = []
    if evicting := evicting_clusters(spec):
        found.append(Filter(EVICTION, lambda member: EVICTING if member.name in evicting else ""))
    if WORKLOAD_AFFINITY in gates and spec.get("workloadAffinityGroups"):
        found.extend(_workload_filters(spec, present, tuple(peers)))
    return found


def _plugin_filter(plugin: SchedulerPlugin, spec: ResourceBindingSpec) -> Test:
    return lambda member: asked_to_filter(plugin, spec, member.cluster)


def _affinity_filter(spec: ResourceBindingSpec, placement: Placement, affinity: str, snapshot: ClusterSnapshot) -> Test:
    single = placement.get("clusterAffinity")
    if single is not None:
        wanted = [single]
    elif not terms(placement):
        wanted = []
    else:
        term = term_named(placement, affinity)
        overflow = term.get("overflowAffinities") or () if term is not None and is_workload(spec) else ()
        wanted = [term, *overflow] if term is not None else []
    if not wanted:
        return lambda member: ""
    inside = frozenset().union(*map(snapshot.within, wanted))
    return lambda member: "" if member.name in inside else NOT_IN_AFFINITY


def _expression_filter(expression: str, present: frozenset[str]) -> Test:
    """What does not know whether it matches gets nothing new, and keeps what it has."""

    def test(member: ClusterInfo) -> str:
        found = member.outcome(expression)
        if found.error:
            return "" if member.name in present else NO_ANSWER
        return "" if found.matches else NOT_BY_EXPRESSION

    return test


def may_go_to(binding: Binding, clusters: Iterable[str], snapshot: ClusterSnapshot) -> bool:
    """Is one of the clusters in the affinity that is in use?"""
    spec, status = binding["spec"], binding.get("status") or {}
    names = frozenset(clusters)
    if not names:
        return False
    inside = _affinity_filter(
        spec, spec.get("placement") or {}, status.get("schedulerObservingAffinityName") or "", snapshot
    )
    return any(member.name in names and not inside(member) for member in snapshot.members)


def _taint_filter(placement: Placement, present: frozenset[str], snapshot: ClusterSnapshot) -> Test:
    tolerations = tuple(placement.get("clusterTolerations") or ())
    asked = snapshot.tainted() - present

    def test(member: ClusterInfo) -> str:
        if member.name not in asked:
            return ""
        taint = untolerated_taint(member.cluster, tolerations)
        return "" if taint is None else f"cluster(s) had untolerated taint {{{taint_text(taint)}}}"

    return test


def _api_filter(spec: ResourceBindingSpec, present: frozenset[str], snapshot: ClusterSnapshot) -> Test:
    resource = spec.get("resource") or {}
    able = snapshot.serving(resource.get("apiVersion") or "", resource.get("kind") or "") | present
    return lambda member: "" if member.name in able else NO_API


def _spread_filters(placement: Placement, snapshot: ClusterSnapshot) -> list[Test]:
    fields = {"provider": "provider", "region": "region", "zone": "zones"}
    wanted = [constraint.get("spreadByField") for constraint in placement.get("spreadConstraints") or ()]
    return [_property_filter(fields[by], snapshot) for by in wanted if by in fields]


def _property_filter(field: str, snapshot: ClusterSnapshot) -> Test:
    reason, having = f"cluster(s) did not have {field} property", snapshot.having(field)
    return lambda member: "" if member.name in having else reason


def _workload_filters(spec: ResourceBindingSpec, present: frozenset[str], peers: Sequence[Binding]) -> list[Filter]:
    groups, resource = spec["workloadAffinityGroups"], spec.get("resource") or {}
    own = identity_in(resource)
    others = [
        (other.get("spec") or {})
        for other in peers
        if namespace(other) == own.namespace and identity_in((other.get("spec") or {}).get("resource") or {}) != own
    ]

    def targets_of(key: str) -> list[frozenset[str]]:
        wanted = groups.get(key)
        return [
            target_names(other)
            for other in others
            if wanted and (other.get("workloadAffinityGroups") or {}).get(key) == wanted
        ]

    together = [found for found in targets_of("affinityGroup") if found]
    apart = targets_of("antiAffinityGroup")

    def test_together(member: ClusterInfo) -> str:
        mine = member.name
        return "" if mine in present or all(mine in found for found in together) else NOT_WITH_AFFINITY_GROUP

    def test_apart(member: ClusterInfo) -> str:
        mine = member.name
        return WITH_ANTI_AFFINITY_GROUP if mine not in present and any(mine in found for found in apart) else ""

    return [Filter(WORKLOAD, test_together), Filter(ANTI_WORKLOAD, test_apart)]
