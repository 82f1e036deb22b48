"""The Works that the binding has in its clusters: its own, without what it leaves to other bindings, and what those have written."""

from __future__ import annotations

from kafila.placement.objects import identity
from kafila.placement.spec import targets_of

from .facts import Facts, clusters_of
from .state import State


def share_works(state: State, facts: Facts) -> State:
    own = clusters_of(state.binding, facts)
    left = state.shares.needed_by_others(state.binding) - own
    kept = [work for work in state.works if work.cluster not in left]
    targets = {target["name"] for target in targets_of(state.binding["spec"])}
    missing = (targets & own) - {work.cluster for work in kept}
    found, taken = facts.works_named(identity(state.template), missing)
    reporting = [work.obj for work in kept]
    reporting += [work.obj for work in found if not work.obj["metadata"].get("deletionTimestamp")]
    return state._replace(works=(*kept, *found), reporting=reporting, taken=taken)
