"""Which kinds of objects may be templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from kafila.catalog.catalog import Catalog
from kafila.core.resources import GroupVersionKind
from kafila.placement.detector.match import is_skipped


@final
class TemplateKinds:
    """``came``: called for a resource when its kind is known at last. Another process may serve it, and take objects, before us."""

    def __init__(self, catalog: Catalog, came: Callable[[str], None]) -> None:
        self._catalog = catalog
        self._came = came
        self._known: dict[str, bool] = {}  # resource -> may its objects be propagated?
        self._unknown: set[str] = set()  # resources of which objects were seen without their kind
        catalog.on_add(self._observe)

    def __contains__(self, resource: str) -> bool:
        kind = self._catalog.storage_kind(resource)
        if kind is None:
            self._unknown.add(resource)
            return False
        known = self._known.get(resource)
        if known is None:
            known = resource != "componentstatuses" and not is_skipped(
                GroupVersionKind(kind.group, kind.version, kind.kind)
            )
            self._known[resource] = known
        return known

    def _observe(self) -> None:
        for resource in sorted(self._unknown):
            if self._catalog.storage_kind(resource) is not None:
                self._unknown.discard(resource)
                if resource in self:
                    self._came(resource)
