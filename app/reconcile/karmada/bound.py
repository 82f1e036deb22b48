"""Templates found by their bindings: what happens around a binding leads to another look at its template."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import final

from app.catalog.catalog import Catalog
from app.core.resources import Key
from app.watch import Cache, Entry

from .federation import BINDINGS, CLUSTER_BINDINGS
from .indexes import template_key_of


@final
class BoundTemplates:
    """``look``: at a template again, and whether behind what users change now."""

    def __init__(self, cache: Cache, catalog: Catalog, look: Callable[[Key, bool], None]) -> None:
        self._cache = cache
        self._catalog = catalog
        self._look = look

    def look_at(self, binding: Entry, background: bool = False) -> None:
        key = template_key_of(binding, self._catalog)
        if key is not None:
            self._look(key, background)

    def look_at_all(self, namespace: str = "") -> None:
        for binding in self._bindings(namespace):
            self.look_at(binding, background=True)

    def look_at_kinds(self, resources: Container[str]) -> None:
        for binding in self._bindings():
            key = template_key_of(binding, self._catalog)
            if key is not None and key.resource in resources:
                self._look(key, True)

    def look_at_failed(self, reason: str, namespace: str = "") -> None:
        """What could not be scheduled for that reason may be scheduled now."""
        needle = b'"%b"' % reason.encode()
        for binding in self._bindings(namespace):
            if needle in binding.body:
                self.look_at(binding, background=True)

    def _bindings(self, namespace: str = "") -> Iterator[Entry]:
        """Of both scopes; of one namespace where it is given."""
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            yield from self._cache.resource(resource).entries(namespace)
