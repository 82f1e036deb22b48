"""What is kept for SQL over the fleet (docs/sql.md), and what a store promises of it.

The rows of a table follow from objects that are stored elsewhere: whoever projects them replaces, for each object, all rows that came
from it. So nothing here is needed to go on, and everything can be made again. Whoever writes has taken the tables over with a number
of its own, and fails when another process has done so since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

PAGE: Final = 2000  # objects that are told of at once
READER: Final = "kafila_reader"  # the database's role that may read everything in the schema, and nothing else

Row = dict[str, Any]  # JSON values by column
Place = tuple[str, str]  # namespace and name


class Table(NamedTuple):
    """``key``: its primary key; the first ``of`` columns of it tell the object that a row came from."""

    key: tuple[str, ...]
    of: int
    columns: tuple[str, ...]  # the others


def _table(key: str, of: int, columns: str) -> Table:
    return Table(tuple(key.split()), of, tuple(columns.split()))


TABLES: Final[dict[str, Table]] = {
    "cluster": _table(
        "name",
        1,
        "mode ready reason message since version provider region zones labels taints cordoned nodes nodes_ready"
        " cpu cpu_used memory memory_used created deleting",
    ),
    "binding": _table(
        "namespace binding",
        2,
        "api_version kind name id policy replicas scheduled reason message since suspended created deleting",
    ),
    "placement": _table(
        "namespace binding cluster",
        2,
        "api_version kind name policy why leaving waits replicas ready applied health message",
    ),
    "work": _table(
        "cluster work number",
        2,
        "namespace api_version kind name id applied reason message since health images suspended created deleting",
    ),
    "object": _table(
        "cluster resource namespace name",
        4,
        "api_version kind uid labels generation revision wanted ready images created deleting",
    ),
    "event": _table("namespace event", 2, "type reason message source kind name count first last"),
}


class Replacement(NamedTuple):
    """Of a table: the rows of some objects go, but for these, which come or stay. ``of``: what tells the objects."""

    table: str
    of: Sequence[tuple[str, ...]]
    rows: Sequence[Row]


class Followed(NamedTuple):
    """A cached resource of search, and its version up to which its objects are here; None: it is not followed any more."""

    resource: str
    cluster: str
    version: int | None


class Progress(NamedTuple):
    """``revision``: everything up to it is in the tables; ``events``: changes of Events are. 0: nothing is known of that."""

    revision: int
    events: int


class NotTheProjector(Exception):
    """Another process has taken the tables over."""


class FleetTables(Protocol):
    """All raise StoreUnavailable."""

    async def take_over(self, writer: int, format: int) -> Progress:
        """``format``: what rows look like; written in another one, they are all gone now."""
        ...

    async def write(
        self,
        writer: int,
        replacements: Sequence[Replacement],
        *,
        revision: int | None = None,
        events: int | None = None,
        followed: Sequence[Followed] = (),
    ) -> int:
        """All or nothing; how many rows that changed. Raises NotTheProjector; ValueError for what the database cannot hold."""
        ...

    async def resources(self) -> list[str]:
        """Resources of the control plane's own objects that are in ``object``."""
        ...

    async def known(self, resource: str, cluster: str, after: Place, limit: int = PAGE) -> list[tuple[str, str, int]]:
        """Namespace, name and revision of what is in ``object``, in order."""
        ...

    async def known_events(self, after: Place, limit: int = PAGE) -> list[Place]: ...

    async def followed(self) -> list[Followed]: ...
