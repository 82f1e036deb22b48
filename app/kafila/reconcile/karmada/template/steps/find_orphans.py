"""Works in clusters where the binding is no longer, or that its namespace may not use. What these report counts no more."""

from __future__ import annotations

from kafila.placement import constants

from .facts import Facts, clusters_of
from .state import State


def find_orphans(state: State, facts: Facts) -> State:
    wanted = clusters_of(state.binding, facts)
    orphans = tuple(work for work in state.works if work.cluster not in wanted)
    if not orphans:
        return state
    reporting = [work for work in state.reporting if constants.cluster_of(work["metadata"]["namespace"]) in wanted]
    return state._replace(orphans=orphans, reporting=reporting)
