"""Propagation policies by what they select, so that a template meets only the few that can match it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, final

from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core import sets
from kafila.core.resources import Key, split_api_version
from kafila.core.values import AnyObject, Object
from kafila.placement.detector.match import readable
from kafila.placement.types import OverridePolicy, PropagationPolicy
from kafila.reconcile.chunks import Chunks
from kafila.reconcile.karmada.kinds import read_policy
from kafila.watch import Cache, Entry, Event

POLICIES = "propagationpolicies.policy.karmada.io"
CLUSTER_POLICIES = "clusterpropagationpolicies.policy.karmada.io"
_Named = tuple[
    str, str, str, str
]  # apiVersion, kind, the policy's namespace, the selected name, one label, or "" for any


@final
class PolicyIndex:
    def __init__(self, cache: Cache, catalog: Catalog) -> None:
        self._cache = cache
        self._catalog = catalog
        self._policies: dict[Key, PropagationPolicy] = {}
        self._selected: dict[_Named, set[Key]] = {}
        self._kinds: Counter[tuple[str, str]] = Counter()  # apiVersion and kind of those: most objects are of none
        self._with_priority: set[Key] = set()
        for resource in (POLICIES, CLUSTER_POLICIES):
            cache.listen(resource, self.observe)

    def loading(self) -> Chunks:
        self._policies.clear()
        self._selected.clear()
        self._kinds.clear()
        self._with_priority.clear()
        for resource in (POLICIES, CLUSTER_POLICIES):
            for chunk in self._cache.resource(resource).chunks():
                for entry in chunk:
                    self._add(entry)
                yield

    def observe(self, event: Event) -> None:
        self._remove(event.key)
        if event.new is not None:
            self._add(event.new)

    def get(self, key: Key) -> PropagationPolicy | None:
        return self._policies.get(key)

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self._policies))

    @property
    def any_with_priority(self) -> bool:
        """Does any policy say how urgent its bindings are?"""
        return bool(self._with_priority)

    def candidates(self, template: Object) -> tuple[list[PropagationPolicy], list[PropagationPolicy]]:
        """Policies of the template's namespace, and cluster-wide ones, that name its kind and perhaps its name."""
        metadata = template["metadata"]
        api_version, kind = template["apiVersion"], template["kind"]
        namespace = metadata.get("namespace", "")
        wanted = _words(metadata["name"], metadata.get("labels"))
        own = self._find(api_version, kind, namespace, wanted) if namespace else []
        return own, self._find(api_version, kind, "", wanted)

    def may_select(self, kind: Kind, entry: Entry) -> bool:
        """Whether there are candidates for an object of which only the outline is known."""
        if (kind.api_version, kind.kind) not in self._kinds:
            return False
        words = _words(entry.key.name, entry.meta.labels)
        scopes = {entry.key.namespace, ""}
        return any((kind.api_version, kind.kind, scope, word) in self._selected for scope in scopes for word in words)

    def targets(self, policy: PropagationPolicy | OverridePolicy) -> list[Key]:
        """Keys of the existing objects that a policy selects."""
        found: dict[Key, None] = {}
        scope = policy["metadata"].get("namespace", "")
        for selector in (policy.get("spec") or {}).get("resourceSelectors") or ():
            for key in self._selected_by(selector, scope):
                found[key] = None
        return list(found)

    def _selected_by(self, selector: AnyObject, scope: str) -> Iterable[Key]:
        group, version = split_api_version(selector.get("apiVersion") or "")
        kind = self._catalog.by_kind(group, version, selector.get("kind") or "")
        if kind is None:
            return
        resource = self._cache.resource(kind.resource)
        namespace = scope or selector.get("namespace") or ""
        name = selector.get("name")
        if name and (namespace or not kind.namespaced):
            entry = resource.get(namespace if kind.namespaced else "", name)
            if entry is not None:
                yield entry.key
            return
        wanted = None
        if selector.get("labelSelector") and not name:
            wanted = readable(selector["labelSelector"])
            if wanted is None:
                return
        for entry in list(resource.entries(namespace if kind.namespaced else "")):
            if name and entry.key.name != name:
                continue
            if wanted is None or wanted.matches(entry.meta.labels or {}):
                yield entry.key

    def _find(self, api_version: str, kind: str, scope: str, words: Iterable[str]) -> list[PropagationPolicy]:
        keys: set[Key] = set()
        for word in words:
            keys |= self._selected.get((api_version, kind, scope, word), set())
        return [self._policies[key] for key in sorted(keys)]

    def _add(self, entry: Entry) -> None:
        kind = self._catalog.storage_kind(entry.key.resource)
        assert kind is not None
        policy = read_policy(kind, entry)
        self._policies[entry.key] = policy
        if (policy.get("spec") or {}).get("schedulePriority"):
            self._with_priority.add(entry.key)
        for named in _names(policy, entry.key.namespace):
            keys = self._selected.get(named)
            if keys is None:
                keys = self._selected[named] = set()
                self._kinds[named[:2]] += 1
            keys.add(entry.key)

    def _remove(self, key: Key) -> None:
        policy = self._policies.pop(key, None)
        if policy is None:
            return
        self._with_priority.discard(key)
        for named in _names(policy, key.namespace):
            if sets.discard(self._selected, named, key):
                self._kinds[named[:2]] -= 1
                if not self._kinds[named[:2]]:
                    del self._kinds[named[:2]]


def _words(name: str, labels: dict[str, str] | None) -> list[str]:
    """What policies may ask of an object of this name and these labels (see ``_word``)."""
    return [name, "", *(_label(*pair) for pair in (labels or {}).items())]


def _names(policy: PropagationPolicy, scope: str) -> list[_Named]:
    selected: list[Any] = (policy.get("spec") or {}).get("resourceSelectors") or []
    return [(s.get("apiVersion") or "", s.get("kind") or "", scope, _word(s)) for s in selected]


def _word(selector: AnyObject) -> str:
    """What a template must have to be selected: the name, else one of the labels, else nothing in particular."""
    if selector.get("name"):
        return str(selector["name"])
    labels = (selector.get("labelSelector") or {}).get("matchLabels") or {}
    return _label(*min(labels.items())) if labels else ""


def _label(key: str, value: str) -> str:
    return f"{key}={value}"  # no name has an equals sign
