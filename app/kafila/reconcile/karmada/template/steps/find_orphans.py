"""Works in clusters where the binding is no longer, or that its namespace may not use."""

from __future__ import annotations

from .facts import Facts, clusters_of
from .state import State


def find_orphans(state: State, facts: Facts) -> State:
    wanted = clusters_of(state.binding, facts)
    orphans = tuple(work for work in state.works if work.cluster not in wanted)
    return state._replace(orphans=orphans) if orphans else state
