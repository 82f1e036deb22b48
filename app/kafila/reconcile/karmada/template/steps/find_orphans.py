"""Works in clusters where the binding is no longer."""

from __future__ import annotations

from kafila.placement.spec import existing_clusters

from .facts import Facts
from .state import State


def find_orphans(state: State, facts: Facts) -> State:
    wanted = existing_clusters(state.binding["spec"])
    orphans = tuple(work for work in state.works if work.cluster not in wanted)
    return state._replace(orphans=orphans) if orphans else state
