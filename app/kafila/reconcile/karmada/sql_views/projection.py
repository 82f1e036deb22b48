"""Objects, as what is to be replaced in the tables. Pure; runs in a thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, final

import orjson

from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, CLUSTERS, WORKS
from kafila.store.fleet import Replacement, Row

from .rows import Named, of_binding, of_cluster, of_event, of_object, of_work

FORMAT: Final = 2  # to be raised when a row of an unchanged object looks otherwise: then all of them are made anew


class Stored(NamedTuple):
    """An object as it is stored; ``body`` None: it is gone. ``api_version``, ``kind``: of what lies at the key."""

    where: Named
    body: bytes | None = None
    revision: int = 0
    api_version: str = ""
    kind: str = ""
    sealed: bool = False  # encrypted at rest


@final
class Projected:
    """What comes of some objects, by table."""

    def __init__(self) -> None:
        self._of: dict[str, list[tuple[str, ...]]] = {}
        self._rows: dict[str, list[Row]] = {}

    def replace(self, table: str, of: tuple[str, ...], rows: Iterable[Row]) -> None:
        self._of.setdefault(table, []).append(of)
        self._rows.setdefault(table, []).extend(rows)

    @property
    def replacements(self) -> list[Replacement]:
        return [Replacement(table, of, self._rows[table]) for table, of in self._of.items()]


def projected(objects: Sequence[Stored]) -> list[Replacement]:
    """Each object once."""
    found = Projected()
    for each in objects:
        obj = None if each.body is None else orjson.loads(each.body)
        where = each.where
        rows = []
        if obj is not None:
            rows.append(of_object(where, obj, each.api_version, each.kind, each.revision, each.sealed))
        found.replace("object", tuple(where), rows)
        if not where.cluster:
            _further(found, where, obj, each.sealed)
    return found.replacements


def _further(found: Projected, where: Named, obj: Object | None, sealed: bool) -> None:
    """Of Karmada's kinds."""
    of = where.namespace, where.name
    if where.resource == CLUSTERS:
        found.replace("cluster", (where.name,), [] if obj is None else [of_cluster(where.name, obj, sealed)])
    elif where.resource in (BINDINGS, CLUSTER_BINDINGS):
        row, placements = (None, []) if obj is None else of_binding(*of, obj, sealed)
        found.replace("binding", of, [] if row is None else [row])
        found.replace("placement", of, placements)
    elif where.resource == WORKS and where.namespace.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
        cluster = constants.cluster_of(where.namespace)
        found.replace("work", (cluster, where.name), [] if obj is None else of_work(cluster, where.name, obj, sealed))


def projected_events(events: Sequence[tuple[Key, bytes | None, bool]]) -> list[Replacement]:
    """Of Events with their bodies, None: they are gone; and whether they are encrypted at rest. The last of each counts."""
    last: dict[Key, tuple[Any, bool]] = {key: (body, sealed) for key, body, sealed in events}
    found = Projected()
    for key, (body, sealed) in last.items():
        of = key.namespace, key.name
        found.replace("event", of, [] if body is None else [of_event(*of, orjson.loads(body), sealed)])
    return found.replacements
