"""Which cluster has which revision of the template: the new one goes from stage to stage, as the policy asks for.

Where the policy does not, every cluster has the template as it is, and this step costs nothing.
"""

from __future__ import annotations

from functools import cache

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.constants import cluster_of
from kafila.placement.interpreter import InterpretError
from kafila.placement.rollout.advance import NO_CONTROL, Advance, Seen
from kafila.placement.rollout.begin import revisions_by_cluster
from kafila.placement.rollout.control import carried_over
from kafila.placement.rollout.follow import NOWHERE, Revised, follow
from kafila.placement.rollout.gate import report
from kafila.placement.rollout.phases import EVENT_HELD, SUCCEEDED
from kafila.placement.rollout.revision import (
    is_same_content,
    kept_revision,
    marked,
    revision_of,
    revisions_in,
    template_in,
)
from kafila.placement.rollout.strategy import staged_rollout, strategy_of
from kafila.placement.scheduler.schedule import Event
from kafila.placement.spec import targets_of
from kafila.placement.types import (
    ResourceBindingSpec,
    ResourceBindingStatus,
    RolloutControl,
    RolloutStatus,
    StagedRollout,
    Work,
)
from kafila.placement.work.build import is_suspended

from .build_works import planned
from .facts import Facts
from .state import State


def roll_out(state: State, facts: Facts) -> State:
    status = state.binding.get("status") or {}
    wanted = staged_rollout(state.binding["spec"])
    if wanted is None:
        return state if "rollout" not in status else _ended(state, status, facts)
    before = status.get("rollout")
    try:
        revision = revision_of(state.template, facts.interpreter)
        there = _there(state, facts) if before is None else NOWHERE
    except InterpretError as error:  # all Works stay as they are: nobody knows whether this is another revision
        event = Event("Warning", EVENT_HELD, f"Nothing is rolled out: {error}")
        waiting = frozenset(target["name"] for target in targets_of(state.binding["spec"]))
        return state._replace(waiting=waiting, interpreted=False, events=(*state.events, event))
    if before is not None and before["revision"] != revision:
        state = _with_control(state, carried_over(state.binding["spec"].get("rollout") or NO_CONTROL))
    template = Revised(revision, state.template["metadata"].get("generation") or 0, there)
    found = _followed(state, wanted, before, template, facts)
    if found is None:
        return state
    state = _with_rollout(state, status, found.status)._replace(events=(*state.events, *found.events), wake=found.wake)
    return _with_revisions(_with_versions(state, found.status, facts), before, found.status, facts)


def _with_control(state: State, control: RolloutControl | None) -> State:
    spec = state.binding["spec"]
    if spec.get("rollout") == control:
        return state
    kept: ResourceBindingSpec = {**spec}
    kept.pop("rollout", None)
    if control is not None:
        kept["rollout"] = control
    return state._replace(binding={**state.binding, "spec": kept})


def _followed(
    state: State, wanted: StagedRollout, before: RolloutStatus | None, template: Revised, facts: Facts
) -> Advance | None:
    revision = template.revision
    spec, gate = state.binding["spec"], strategy_of(wanted).gate
    targets = frozenset(target["name"] for target in targets_of(spec))
    works = {work.cluster: work.obj for work in state.works}
    stable = before.get("stableRevision", "") if before is not None and before["revision"] == revision else ""
    kept = _kept(state, stable, facts) if stable else None
    told = cache(
        lambda: not stable or (kept is not None and not is_same_content(kept, state.template, facts.interpreter))
    )
    reports = {cluster: report(works.get(cluster), revision, gate, told) for cluster in targets}
    suspended = frozenset(cluster for cluster in targets if is_suspended(spec, cluster))
    is_kept = not stable or kept is not None
    seen = Seen(targets, reports, suspended, _failed_there(spec), is_kept)
    control = spec.get("rollout") or NO_CONTROL
    return follow(before, wanted, template, seen, facts.clusters(), facts.now(), control)


def _there(state: State, facts: Facts) -> dict[str, bool]:
    """By cluster that has a Work, whether it is made of the template as it is now: that may have changed together with the policy,
    or while nobody led. Raises InterpretError."""
    targets = frozenset(target["name"] for target in targets_of(state.binding["spec"]))
    stored = {work.cluster: work.obj for work in state.works if work.cluster in targets}
    if not stored:
        return {}
    built = {cluster_of(work["metadata"]["namespace"]): work for work in planned(state, facts).works}
    return {cluster: _are_alike(work, built.get(cluster), facts) for cluster, work in stored.items()}


def _are_alike(stored: Work, built: Work | None, facts: Facts) -> bool:
    if built is None or built is stored:
        return built is stored
    one, other = (
        [revision_of(manifest, facts.interpreter) for manifest in work["spec"]["workload"]["manifests"]]
        for work in (stored, built)
    )
    return one == other


def _failed_there(spec: ResourceBindingSpec) -> frozenset[str]:
    return frozenset(
        task["fromCluster"]
        for task in spec.get("gracefulEvictionTasks") or ()
        if task.get("reason") == constants.EVICTION_APPLICATION
    )


def _with_rollout(state: State, status: ResourceBindingStatus, rollout: RolloutStatus) -> State:
    if status.get("rollout") == rollout:
        return state
    return state._replace(binding={**state.binding, "status": {**status, "rollout": rollout}})


def _with_versions(state: State, rollout: RolloutStatus, facts: Facts) -> State:
    """A revision that is not kept any more stays where it is, as it is."""
    current = rollout["revision"]
    known: dict[str, Object | None] = {current: marked(state.template, current), "": None}
    versions: dict[str, Object] = {}
    waiting: set[str] = set()
    revision_for = revisions_by_cluster(rollout)
    for target in targets_of(state.binding["spec"]):
        revision = revision_for(target["name"])
        if revision not in known:
            known[revision] = _kept(state, revision, facts)
        version = known[revision]
        if version is None:
            waiting.add(target["name"])
        else:
            versions[target["name"]] = version
    return state._replace(versions=versions, waiting=frozenset(waiting))


def _kept(state: State, revision: str, facts: Facts) -> Object | None:
    stored = facts.kept_revision(state.binding, revision)
    found = template_in(stored.obj if stored is not None else None, state.template, revision)
    return marked(found, revision) if found is not None else None


def _with_revisions(state: State, before: RolloutStatus | None, after: RolloutStatus, facts: Facts) -> State:
    current = after["revision"]
    made: Object | None = None
    is_new = before is None or before["revision"] != current
    # one that is everywhere may have been deleted by somebody: while the template is at hand it is kept anew
    if (is_new or after["phase"] == SUCCEEDED) and _kept(state, current, facts) is None:
        made = kept_revision(state.binding, state.template, current)
    return _giving_up(state, revisions_in(before) - revisions_in(after), facts)._replace(revision=made)


def _giving_up(state: State, revisions: frozenset[str], facts: Facts) -> State:
    stored = (facts.kept_revision(state.binding, revision) for revision in sorted(revisions))
    return state._replace(given_up=tuple(found.entry for found in stored if found is not None))


def _ended(state: State, status: ResourceBindingStatus, facts: Facts) -> State:
    """The policy does not ask for it any more: every cluster has the template as it is."""
    kept: ResourceBindingStatus = {**status}
    del kept["rollout"]
    state = _with_control(_giving_up(state, revisions_in(status["rollout"]), facts), None)
    return state._replace(binding={**state.binding, "status": kept})
