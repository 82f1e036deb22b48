"""The decision about one binding: which clusters get it, with how many replicas, and what its status says about that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from kafila.core.clock import rfc3339
from kafila.core.conditions import condition, with_condition
from kafila.core.feature_gates import DEFAULT_GATES, MULTIPLE_POD_TEMPLATES_SCHEDULING, WORKLOAD_AFFINITY, Gates
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.applied_placement import placement_text
from kafila.placement.cluster_expression import expression_of
from kafila.placement.cluster_scores import EVENT_NOT_USED, Weighting
from kafila.placement.objects import annotations_of, name, namespace
from kafila.placement.placement_annotations import APPLIED, digest
from kafila.placement.replica_bounds import ANNOTATION as REPLICA_BOUNDS
from kafila.placement.replica_bounds import Bounds, BoundsError, bounds_of
from kafila.placement.scheduler.assign import UnsupportedStrategy, assign, reschedule_required
from kafila.placement.scheduler.bounded import Unschedulable
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot, snapshot_of
from kafila.placement.scheduler.estimate import Assumed, available_replicas, request_key
from kafila.placement.scheduler.filters import MEANT, Rejection, feasible, placement_key
from kafila.placement.scheduler.plugins import PluginFailed, SchedulerPlugin
from kafila.placement.scheduler.select import Candidate, SelectionError, candidates, select
from kafila.placement.spec import is_multi_component, replicas, scheduling_type, target_names, targets
from kafila.placement.types import (
    Binding,
    Cluster,
    ClusterAffinityTerm,
    Component,
    ObjectMeta,
    ResourceBindingSpec,
    ResourceBindingStatus,
    TargetCluster,
    TargetComponent,
)

ErrorKind = Literal["FitError", "UnschedulableError", "Error", "QuotaExceeded"]
Retry = Literal["", "backoff", "unschedulable"]

_REASONS: Final[dict[str, str]] = {
    "FitError": constants.REASON_NO_CLUSTER_FIT,
    "UnschedulableError": constants.REASON_UNSCHEDULABLE,
    "QuotaExceeded": constants.REASON_QUOTA_EXCEEDED,
    "Error": constants.REASON_SCHEDULER_ERROR,
}
# A binding that no cluster fits waits for a change; one that lacks available replicas waits in a queue of its own.
_RETRIES: Final[dict[str, Retry]] = {
    "FitError": "",
    "UnschedulableError": "unschedulable",
    "QuotaExceeded": "backoff",
    "Error": "backoff",
}


class Event(NamedTuple):
    """To be recorded on the binding and on its template."""

    type: str  # Normal or Warning
    reason: str
    message: str


class Failure(NamedTuple):
    kind: ErrorKind
    message: str


@dataclass(frozen=True, slots=True)
class SchedulingContext:
    """What the scheduler knows besides the binding and the clusters."""

    gates: Gates = DEFAULT_GATES
    answers: Sequence[Mapping[str, int]] = ()  # of further estimators: replicas by cluster
    assumed: Mapping[str, Sequence[Assumed]] = field(default_factory=dict)  # by cluster
    plugins: Sequence[SchedulerPlugin] = ()
    peers: Sequence[Binding] = ()  # other bindings of the namespace, for workload affinity
    allowed: frozenset[str] | None = None  # names of the clusters that the namespace may use, None for all
    propagate_empty: bool = False  # --enable-empty-workload-propagation
    weighting: Weighting | None = None  # by the scores that the binding's policy names
    kept: frozenset[str] = frozenset()  # clusters that it does not leave for what they are not any more


class Attempt(NamedTuple):
    """With one affinity group, or with the only affinity there is."""

    affinity: str
    clusters: list[TargetCluster]
    failure: Failure | None
    rejected: Mapping[str, Rejection]  # by cluster
    candidates: Sequence[Candidate] = ()  # those that passed, in order of preference
    selected: frozenset[str] = frozenset()  # those that the spread constraints left


@dataclass(frozen=True, slots=True)
class Decision:
    """``clusters`` is what ``spec.clusters`` becomes; None leaves it, and the annotation, as they are."""

    clusters: list[TargetCluster] | None
    placement: str  # the value of the annotation applied-placement
    affinity: str  # what status.schedulerObservingAffinityName becomes
    condition: Object  # Scheduled, without a transition time
    failure: Failure | None
    retry: Retry
    events: tuple[Event, ...]
    attempts: tuple[Attempt, ...]  # all that were made, in order
    weighting: Weighting | None = None  # the scores that were asked for


EMPTY_CONTEXT: Final = SchedulingContext()


def schedule(
    binding: Binding, clusters: Sequence[Cluster] | ClusterSnapshot, context: SchedulingContext = EMPTY_CONTEXT
) -> Decision:
    """Decide about a ResourceBinding or ClusterResourceBinding that has a placement. ``clusters``: all that there are."""
    decision = _by_terms(binding, snapshot_of(clusters), context)
    if context.weighting is None:
        return decision
    events = decision.events
    if context.weighting.not_used:
        text = f"Not used: {'; '.join(context.weighting.not_used)}"
        events = (*events, Event("Warning", EVENT_NOT_USED, text))
    return replace(decision, events=events, weighting=context.weighting)


def _by_terms(binding: Binding, snapshot: ClusterSnapshot, context: SchedulingContext) -> Decision:
    spec, status = binding.get("spec") or {}, binding.get("status") or {}
    placement = spec.get("placement") or {}
    observed: str = status.get("schedulerObservingAffinityName") or ""
    terms = placement.get("clusterAffinities") or []
    if not terms:
        attempt = _attempt(binding, observed, snapshot, context)
        return _decision(binding, attempt, observed, (), (attempt,))
    return _try_terms(binding, terms, observed, snapshot, context)


def _try_terms(
    binding: Binding,
    terms: Sequence[ClusterAffinityTerm],
    observed: str,
    clusters: ClusterSnapshot,
    context: SchedulingContext,
) -> Decision:
    """Affinity groups in order, from the one in use: it never goes back to an earlier one unless rescheduling is asked for."""
    spec, status = binding.get("spec") or {}, binding.get("status") or {}
    start = 0
    if not reschedule_required(spec, status):
        start = next((i for i, term in enumerate(terms) if observed and term.get("affinityName") == observed), 0)
    attempts: list[Attempt] = []
    events: list[Event] = []
    for index in range(start, len(terms)):
        affinity = terms[index].get("affinityName") or ""
        attempt = _attempt(binding, affinity, clusters, context)
        attempts.append(attempt)
        if attempt.failure is None:
            return _decision(binding, attempt, affinity, tuple(events), tuple(attempts))
        message = (
            f"failed to schedule {_reference(binding)} with clusterAffiliates index({index}): {attempt.failure.message}"
        )
        events.append(Event("Warning", constants.EVENT_SCHEDULE_FAILED, message))
    return _decision(binding, attempts[0], observed, tuple(events), tuple(attempts), by_term=True)


def _attempt(binding: Binding, affinity: str, clusters: ClusterSnapshot, context: SchedulingContext) -> Attempt:
    spec, status = binding.get("spec") or {}, binding.get("status") or {}
    try:
        fit, rejected = feasible(
            spec,
            affinity,
            clusters,
            gates=context.gates,
            peers=context.peers,
            plugins=context.plugins,
            allowed=context.allowed,
            expression=expression_of(binding),
            kept=context.kept,
        )
        if not fit:
            return Attempt(affinity, [], Failure("FitError", fit_error_text(len(clusters), rejected)), rejected)
        found = _ranked(binding, affinity, fit, clusters, context)
    except (PluginFailed, BoundsError) as error:
        return Attempt(affinity, [], Failure("Error", str(error)), {})
    multi = MULTIPLE_POD_TEMPLATES_SCHEDULING in context.gates and is_multi_component(spec)
    chosen: Sequence[Candidate] = ()
    result: list[TargetCluster] = []
    failure: Failure | None = None
    try:
        chosen = select(found, spec, 1 if multi else replicas(spec))
        if chosen:
            result = _divided(chosen, spec, status, affinity, context)
        else:
            failure = Failure("Error", "failed to assign replicas: no clusters available to schedule")
    except SelectionError as error:
        failure = Failure("Error", f"failed to select clusters: {error}")
    except Unschedulable as error:
        failure = Failure("UnschedulableError", f"failed to assign replicas: {error}")
    except UnsupportedStrategy as error:
        failure = Failure("Error", f"failed to assign replicas: {error}")
    return Attempt(affinity, result, failure, rejected, found, frozenset(each.name for each in chosen))


def _ranked(
    binding: Binding,
    affinity: str,
    fit: Sequence[ClusterInfo],
    snapshot: ClusterSnapshot,
    context: SchedulingContext,
) -> Sequence[Candidate]:
    """Raises PluginFailed, BoundsError."""
    spec = binding.get("spec") or {}
    is_divided = scheduling_type(spec.get("placement") or {}) == constants.DIVIDED
    bounds = annotations_of(binding).get(REPLICA_BOUNDS) if is_divided else None

    def rank() -> list[Candidate]:
        available = available_replicas(
            spec, snapshot, gates=context.gates, answers=context.answers, assumed=context.assumed
        )
        return candidates(spec, affinity, fit, available, context.plugins, _bounds(bounds, snapshot), context.weighting)

    if spec.get("clusters") or spec.get("components") or spec.get("gracefulEvictionTasks"):
        return rank()
    if context.weighting is not None:
        return rank()
    if context.answers or context.assumed or context.peers or context.plugins or context.allowed is not None:
        return rank()
    # nowhere yet, and nobody else to ask: all bindings with this placement and these requests see the same
    return snapshot.remember(
        (
            "ranked",
            bounds,
            expression_of(binding),
            *placement_key(spec, affinity),
            *request_key(spec, context.gates),
            snapshot.unlimited and replicas(spec),
        ),
        rank,
    )


def _bounds(text: str | None, snapshot: ClusterSnapshot) -> Mapping[str, Bounds]:
    """Raises BoundsError."""
    if not text:
        return {}
    return snapshot.remember(("bounds", text), lambda: bounds_of(text, (member.cluster for member in snapshot.members)))


def _divided(
    chosen: Sequence[Candidate],
    spec: ResourceBindingSpec,
    status: ResourceBindingStatus,
    affinity: str,
    context: SchedulingContext,
) -> list[TargetCluster]:
    components = spec.get("components") or []
    if (not replicas(spec) and spec.get("replicaRequirements") is None) or len(components) > 1:
        return [_whole(each.name, components, context.gates) for each in chosen]
    assigned = assign(chosen, spec, status, affinity)
    result: list[TargetCluster] = [{"name": target.name, "replicas": target.replicas} for target in assigned]
    if context.propagate_empty:
        used = {target.name for target in assigned}
        result += [{"name": each.name} for each in chosen if each.name not in used]
    return result


def _whole(cluster: str, components: Sequence[Component], gates: Gates) -> TargetCluster:
    if components and MULTIPLE_POD_TEMPLATES_SCHEDULING in gates:
        parts: list[TargetComponent] = [
            {"name": part["name"], "replicas": part.get("replicas") or 0} for part in components
        ]
        return {"name": cluster, "components": parts}
    return {"name": cluster}


def fit_error_text(clusters: int, rejected: Mapping[str, Rejection]) -> str:
    """``0/3 clusters are available: 2 cluster(s) …, 1 cluster(s) ….``"""
    if not clusters or not rejected:
        return f"0/{clusters} clusters are available: no cluster exists."
    counts: dict[str, int] = {}
    for _, reason in rejected.values():
        counts[reason] = counts.get(reason, 0) + 1
    reasons = sorted(f"{count} {reason}" for reason, count in counts.items())
    return f"0/{clusters} clusters are available: {', '.join(reasons)}."


def _reference(binding: Binding) -> str:
    where = namespace(binding)
    return f"ResourceBinding({where}/{name(binding)})" if where else f"ClusterResourceBinding({name(binding)})"


def _decision(
    binding: Binding,
    attempt: Attempt,
    affinity: str,
    events: tuple[Event, ...],
    attempts: tuple[Attempt, ...],
    *,
    by_term: bool = False,
) -> Decision:
    placement = placement_text(binding["spec"].get("placement") or {})
    failure = attempt.failure
    if failure is None:
        made = condition(constants.COND_SCHEDULED, "True", constants.REASON_SUCCESS, constants.MESSAGE_SCHEDULED)
        event = Event("Normal", constants.EVENT_SCHEDULE, success_text(binding, attempt.clusters))
        return Decision(attempt.clusters, placement, affinity, made, None, "", (*events, event), attempts)
    if failure.kind == "FitError":
        # Karmada withdraws the resource when nothing fits any more.
        clusters: list[TargetCluster] | None = []
    else:
        clusters = None
    if failure.kind == "FitError" or not by_term:
        events = (*events, Event("Warning", constants.EVENT_SCHEDULE_FAILED, failure.message))
    made = condition(constants.COND_SCHEDULED, "False", _REASONS[failure.kind], failure.message)
    return Decision(clusters, placement, affinity, made, failure, _RETRIES[failure.kind], events, attempts)


def success_text(binding: Binding, clusters: Sequence[TargetCluster]) -> str:
    listed = ", ".join(f"{cluster['name']}:{cluster.get('replicas') or 0}" for cluster in clusters)
    # The colon is missing for ClusterResourceBindings in Karmada too.
    result = "Result:" if namespace(binding) else "Result"
    return f"{constants.MESSAGE_SCHEDULED} {result} {{{listed}}}"


def left_for_what_they_are(decision: Decision, binding: Binding, before: Binding | None) -> frozenset[str]:
    """Clusters that a binding leaves because its placement, which is as it was, does not mean them any more."""
    if before is None or decision.clusters is None or not decision.attempts:
        return frozenset()
    is_same = before["spec"].get("placement") == binding["spec"].get("placement")
    if not is_same or expression_of(before) != expression_of(binding):
        return frozenset()  # whoever changed the policy was asked
    left = target_names(binding["spec"]) - {target["name"] for target in decision.clusters}
    rejected = decision.attempts[0].rejected  # by the term in use
    return frozenset(name for name in left if name in rejected and rejected[name].filter in MEANT)


def quota_exceeded(decision: Decision, message: str) -> Decision:
    """The decision when storing the result was refused by a quota (403 QuotaExceeded): nothing is stored but the reason."""
    made = condition(constants.COND_SCHEDULED, "False", constants.REASON_QUOTA_EXCEEDED, message)
    event = Event("Warning", constants.EVENT_SCHEDULE_FAILED, message)
    return Decision(
        None,
        decision.placement,
        decision.affinity,
        made,
        Failure("QuotaExceeded", message),
        "backoff",
        (*(each for each in decision.events if each.reason != constants.EVENT_SCHEDULE), event),
        decision.attempts,
        decision.weighting,
    )


def with_result(binding: Binding, decision: Decision) -> Binding:
    """The binding with clusters and applied placement stored; the same object when nothing changes."""
    if decision.clusters is None:
        return binding
    spec = binding["spec"]
    before = annotations_of(binding)
    annotations = {**before, constants.APPLIED_PLACEMENT: decision.placement}
    if additions := digest(before):
        annotations[APPLIED] = additions
    else:
        annotations.pop(APPLIED, None)
    if annotations == before and targets(spec) == decision.clusters:
        return binding
    meta: ObjectMeta = {**binding["metadata"], "annotations": annotations}
    spec = {**spec, "clusters": decision.clusters}
    if not decision.clusters:
        del spec["clusters"]
    return {**binding, "metadata": meta, "spec": spec}


def with_status(
    binding: Binding, decision: Decision, generation: int, now: float | None = None
) -> ResourceBindingStatus:
    """The new ``status``. ``generation``: of the binding that was decided about; ``now``: Unix seconds."""
    status: ResourceBindingStatus = {**(binding.get("status") or {})}
    status["conditions"] = with_condition(status.get("conditions"), decision.condition, now)
    if decision.affinity:
        status["schedulerObservingAffinityName"] = decision.affinity
    if decision.failure is None:
        status["schedulerObservedGeneration"] = generation
        status["lastScheduledTime"] = rfc3339(now)
    return status


def peers_needed(binding: Binding, gates: Gates) -> bool:
    """Must ``SchedulingContext.peers`` be given?"""
    return WORKLOAD_AFFINITY in gates and bool((binding.get("spec") or {}).get("workloadAffinityGroups"))


def estimators_asked(binding: Binding) -> bool:
    """Would further estimators be asked about this binding?"""
    spec = binding.get("spec") or {}
    return bool(replicas(spec) or spec.get("components"))
