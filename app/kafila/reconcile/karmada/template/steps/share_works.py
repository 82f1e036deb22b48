"""The Works that the binding has in its clusters: its own, without what it leaves to other bindings, and what those have written."""

from __future__ import annotations

from kafila.placement.objects import identity
from kafila.placement.spec import existing_clusters, targets_of

from .facts import Facts
from .state import State


def share_works(state: State, facts: Facts) -> State:
    spec = state.binding["spec"]
    left = state.shares.needed_by_others(state.binding) - existing_clusters(spec)
    kept = [work for work in state.works if work.cluster not in left]
    missing = {target["name"] for target in targets_of(spec)} - {work.cluster for work in kept}
    found, taken = facts.works_named(identity(state.template), missing)
    reporting = [work.obj for work in kept]
    reporting += [work.obj for work in found if not work.obj["metadata"].get("deletionTimestamp")]
    return state._replace(works=(*kept, *found), reporting=reporting, taken=taken)
