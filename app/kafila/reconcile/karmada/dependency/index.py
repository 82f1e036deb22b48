"""Which bindings depend on which objects, and which bindings are attached to which: an index over what the bindings themselves say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import orjson

from kafila.catalog.catalog import Catalog
from kafila.core import sets
from kafila.core.resources import Key, split_api_version
from kafila.core.selectors import SelectorError
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.detector.attached import refers_to
from kafila.reconcile.chunks import Chunks
from kafila.reconcile.karmada.kinds import BINDINGS
from kafila.watch import Cache, Entry, Event


@final
class DependencyIndex:
    """From the annotation ``dependencies`` of parents, and the ``depended-by-`` labels of the bindings that follow them."""

    def __init__(self, cache: Cache, catalog: Catalog) -> None:
        self._cache = cache
        self._catalog = catalog
        self._texts: dict[Key, str] = {}  # parent -> its annotation
        self._unresolved: set[Key] = set()  # parents that depend on kinds which were not served at that time
        self._named: dict[Key, set[Key]] = {}  # object -> parents
        self._selected: dict[
            tuple[str, str], dict[Key, list[Object]]
        ] = {}  # resource, namespace -> parent -> references
        self._labels: dict[Key, list[str]] = {}  # attached binding -> its labels
        self._attached: dict[tuple[str, str], set[Key]] = {}  # namespace, label -> attached bindings

    def loading(self) -> Chunks:
        for found in (self._texts, self._named, self._selected, self._labels, self._attached):
            found.clear()
        self._unresolved.clear()
        for chunk in self._cache.resource(BINDINGS).chunks():
            for entry in chunk:
                self._put(entry)
            yield

    def observe(self, event: Event) -> None:
        if event.new is None:
            self._forget_parent(event.key)
            self._forget_attached(event.key)
        else:
            self._put(event.new)

    def parents(self, event: Event) -> set[Key]:
        """Bindings that depend on the object of this event, or did before it."""
        found = set(self._named.get(event.key, ()))
        for parent, references in self._selected.get((event.key.resource, event.key.namespace), {}).items():
            states = [entry.meta.labels or {} for entry in (event.old, event.new) if entry is not None]
            if any(_refers(each, event.key.name, labels) for each in references for labels in states):
                found.add(parent)
        return found

    def attached_to(self, parent: Key) -> list[Entry]:
        """Bindings with the parent's label; the caller compares whose id it bears."""
        keys = self._attached.get((parent.namespace, constants.depended_by_label(parent.namespace, parent.name)), ())
        found = (self._cache.get(*key) for key in sorted(keys))
        return [entry for entry in found if entry is not None]

    def depends_on_any(self, parent: Key) -> bool:
        return parent in self._texts

    def refer(self, parent: Key, text: str) -> None:
        """``text``: what the parent depends on, in the words of its annotation."""
        if text == self._texts.get(parent, "") and parent not in self._unresolved:
            return
        self._forget_parent(parent)
        if text:
            self._texts[parent] = text
            for resource, namespace, reference in self._references(text):
                self._add(parent, resource, namespace, reference)

    def _put(self, entry: Entry) -> None:
        self.refer(entry.key, (entry.meta.annotations or {}).get(constants.RB_DEPENDENCIES, ""))
        labels = [label for label in entry.meta.labels or () if label.startswith(constants.DEPENDED_BY_PREFIX)]
        if labels != self._labels.get(entry.key, []):
            self._forget_attached(entry.key)
            if labels:
                self._labels[entry.key] = labels
            for label in labels:
                self._attached.setdefault((entry.key.namespace, label), set()).add(entry.key)

    def _references(self, text: str) -> Iterator[tuple[str, str, Object]]:
        """Resource, "" for a kind that is not served, namespace and reference."""
        try:
            found = orjson.loads(text) or ()
        except orjson.JSONDecodeError:
            return  # a user's doing; admission refuses it
        for reference in found:
            group, version = split_api_version(reference.get("apiVersion") or "")
            kind = self._catalog.by_kind(group, version, reference.get("kind") or "")
            yield kind.resource if kind is not None else "", reference.get("namespace") or "", reference

    def _add(self, parent: Key, resource: str, namespace: str, reference: Object) -> None:
        if not resource:
            self._unresolved.add(parent)
        elif reference.get("name"):
            self._named.setdefault(Key(resource, namespace, reference["name"]), set()).add(parent)
        else:
            self._selected.setdefault((resource, namespace), {}).setdefault(parent, []).append(reference)

    def _forget_parent(self, parent: Key) -> None:
        self._unresolved.discard(parent)
        text = self._texts.pop(parent, "")
        for resource, namespace, reference in self._references(text) if text else ():
            if reference.get("name"):
                sets.discard(self._named, Key(resource, namespace, reference["name"]), parent)
            else:
                found = self._selected.get((resource, namespace), {})
                found.pop(parent, None)
                if not found:
                    self._selected.pop((resource, namespace), None)

    def _forget_attached(self, attached: Key) -> None:
        for label in self._labels.pop(attached, ()):
            sets.discard(self._attached, (attached.namespace, label), attached)


def _refers(reference: Object, name: str, labels: dict[str, str]) -> bool:
    try:
        return refers_to(reference, name, labels)
    except SelectorError:
        return False
