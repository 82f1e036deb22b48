"""Which member clusters are this process's: processes share them out among themselves (``docs/adr/0024``).

What is done about a cluster is done by the process that has its shard, and written under the lease of that shard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, final

from kafila.registry import Registry
from kafila.store.interface import Lease, LeaseLost

Concerns = Callable[[str], bool]  # whether a cluster is one of those that it is about


class Shards(Protocol):
    def holds(self, cluster: str) -> bool:
        """Whether this process has it now."""
        ...

    def registry(self, cluster: str) -> Registry:
        """What is to be written about the cluster goes through this one: it refuses with LeaseLost what another process is to write."""
        ...

    def listen(self, changed: Callable[[Concerns], None]) -> None:
        """``changed`` is called after this process took or lost clusters, with which these are."""
        ...


@final
class AllClusters:
    """Nobody else has any: an agent, which knows one cluster only."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def holds(self, cluster: str) -> bool:
        return True

    def registry(self, cluster: str) -> Registry:
        return self._registry

    def listen(self, changed: Callable[[Concerns], None]) -> None:
        """It never changes."""


@final
class Elsewhere:
    """The clusters that other processes have: to be read, and never to be written to."""

    def __init__(self, shards: Shards, registry: Registry) -> None:
        self._shards = shards
        self._registry = registry.fenced_by(_refuse)
        self.listen = shards.listen

    def holds(self, cluster: str) -> bool:
        return not self._shards.holds(cluster)

    def registry(self, cluster: str) -> Registry:
        return self._registry


def _refuse() -> Lease:
    raise LeaseLost("the cluster is another process's: it is only read here")
