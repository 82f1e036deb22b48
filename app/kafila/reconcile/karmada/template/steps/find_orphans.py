"""Works in clusters where the binding is no longer, or that its namespace may not use."""

from __future__ import annotations

from kafila.placement.objects import namespace
from kafila.placement.spec import existing_clusters

from .facts import Facts
from .state import State


def find_orphans(state: State, facts: Facts) -> State:
    wanted, allowed = existing_clusters(state.binding["spec"]), facts.allowed_clusters(namespace(state.binding))
    if allowed is not None:
        wanted &= allowed
    orphans = tuple(work for work in state.works if work.cluster not in wanted)
    return state._replace(orphans=orphans) if orphans else state
