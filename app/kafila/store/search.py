"""What is kept of members' objects for search.karmada.io, and what a store promises of it.

Objects are kept by resource (with its version: ``apps/v1/deployments``) and cluster; a *cached resource* is one resource of one
cluster. Its ``version`` is the member's resourceVersion up to which everything is here: 0 until it was listed for the first time. Whoever
writes has taken it over with a number of its own, and fails when another one has done so since.

A row has the version at which it last changed: the object's own, or that of the list which showed the change. So whoever knows the state
at one version reads what changed since then. Deleted rows stay for a while; ``oldest`` is the version since which none is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple, Protocol

from kafila.core.resources import Key
from kafila.core.selectors import Selector

from .exports import Place as Place
from .exports import SearchExports

PAGE: Final = 500  # rows read at once
PAGE_BYTES: Final = 8 << 20  # of their bodies, as they are stored
KEPT: Final = 900.0  # seconds that deleted rows are kept at least

FIRST: Final[Place] = ("", "")  # before all others
LAST: Final[Place] = ("\U0010ffff", "")  # behind all others


class CachedResource(NamedTuple):
    resource: str
    cluster: str
    namespaces: tuple[str, ...]  # empty: all
    version: int
    oldest: int
    objects: int
    bytes: int
    trouble: str  # why it is not followed at the moment
    at: float  # Unix seconds: when it was last heard of


class ObjectWrite(NamedTuple):
    """``body`` None: it is gone. ``version``: of the row; ``object_version``: the object's own."""

    namespace: str
    name: str
    version: int
    object_version: str = ""
    labels: bytes = b"{}"  # JSON
    body: bytes | None = None


class CachedObject(NamedTuple):
    namespace: str
    name: str
    body: bytes  # empty where it cannot be read


class CachedChange(NamedTuple):
    """A row that changed. ``since``: when the object came; ``before``: its labels (JSON) until this change, at ``before_version``."""

    namespace: str
    name: str
    version: int
    since: int
    labels: bytes
    before: bytes | None
    before_version: int
    deleted: bool
    body: bytes


class Rows(NamedTuple):
    rows: list[CachedObject]
    more: bool


class Changes(NamedTuple):
    rows: list[CachedChange]
    more: bool


class NotTheWriter(Exception):
    """Another process has taken the resource over, or it is not kept any more."""


def key_of(resource: str, cluster: str, namespace: str, name: str) -> Key:
    """What a sealed body is bound to. Resources are named as ``group/version/plural``."""
    group, _, rest = resource.partition("/")
    plural = rest.partition("/")[2]
    return Key(f"{plural}.{group}" if group else plural, f"{cluster}/{namespace}", name)


class SearchCache(Protocol):
    """All raise StoreUnavailable."""

    @property
    def exports(self) -> SearchExports:
        """How far that was written to backend stores."""
        ...

    async def resources(self, resource: str = "", cluster: str = "") -> list[CachedResource]:
        """Of all resources and clusters where none is named, in their order; those that are going or were not listed yet have version 0."""
        ...

    async def take_over(self, resource: str, cluster: str, namespaces: Sequence[str], writer: int) -> CachedResource:
        """As it was; with other namespaces its version is 0 now."""
        ...

    async def write(
        self,
        resource: str,
        cluster: str,
        writer: int,
        writes: Sequence[ObjectWrite],
        *,
        version: int | None = None,
        anew: bool = False,
    ) -> CachedResource:
        """All or nothing, the last write of each object. ``version``: what is reached by it; ``anew``: also what is unchanged.
        Returns what it is afterwards. Raises NotTheWriter; ValueError for what cannot be stored."""
        ...

    async def start_over(self, resource: str, cluster: str, writer: int) -> None:
        """The member's versions went back: nobody can go on from an older one, and its version is 0. Raises NotTheWriter."""
        ...

    async def say(self, resource: str, cluster: str, writer: int, trouble: str) -> None:
        """Raises NotTheWriter."""
        ...

    async def places(self, resource: str, cluster: str, after: Place, limit: int) -> list[Place]:
        """What is there, in order."""
        ...

    async def drop(self, resource: str, cluster: str) -> None: ...

    async def page(
        self, resource: str, cluster: str, namespace: str, after: Place, limit: int, labels: Selector | None = None
    ) -> Rows:
        """In order of namespace and name, behind ``after``; without a namespace of all."""
        ...

    async def find(self, resource: str, clusters: Collection[str], place: Place) -> list[tuple[str, CachedObject]]:
        """In which of the clusters it is."""
        ...

    async def changes(
        self, resource: str, cluster: str, after: tuple[int, Place], upto: int, limit: int = PAGE
    ) -> Changes:
        """In order of versions, then places."""
        ...

    async def forget(self, seconds: float = KEPT) -> None:
        """Lets go of rows that were deleted longer ago."""
        ...

    def listen(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """``changed`` is called with a resource of which something may have changed, "" for any; until what is returned is."""
        ...

    async def close(self) -> None: ...
