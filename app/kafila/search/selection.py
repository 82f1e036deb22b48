"""What ResourceRegistries select: which resources of which clusters are kept, and in which namespaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, final

from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core.resources import split_api_version
from kafila.core.values import AnyObject, Object
from kafila.placement.cluster_affinity import matcher
from kafila.watch import Cache, Event

REGISTRIES: Final = "resourceregistries.search.karmada.io"
ALL: Final[frozenset[str]] = frozenset()  # namespaces

KindOf = Callable[[str, str], Kind | None]  # apiVersion, kind


class Selected(NamedTuple):
    kind: Kind
    namespaces: frozenset[str]  # empty: all


def resource_of(kind: Kind) -> str:
    """How it is named in the cache: objects are kept in the version that was asked for."""
    return resource_name(kind.group, kind.version, kind.plural)


def resource_name(group: str, version: str, plural: str) -> str:
    return f"{group}/{version}/{plural}"


def selected(spec: AnyObject, kind_of: KindOf) -> dict[str, Selected]:
    """By resource. What is no kind that is served here selects nothing, as in Karmada."""
    found: dict[str, Selected] = {}
    for selector in spec.get("resourceSelectors") or ():
        kind = kind_of(selector.get("apiVersion") or "", selector.get("kind") or "")
        if kind is not None and "watch" in kind.verbs:
            namespace = selector.get("namespace") or ""
            namespaces = frozenset((namespace,)) if namespace and kind.namespaced else ALL
            found[resource_of(kind)] = _merged(found.get(resource_of(kind)), Selected(kind, namespaces))
    return found


def unknown(spec: AnyObject, kind_of: KindOf) -> list[str]:
    """The selectors that select nothing, whatever the clusters have."""
    texts = []
    for selector in spec.get("resourceSelectors") or ():
        kind = kind_of(selector.get("apiVersion") or "", selector.get("kind") or "")
        if kind is None or "watch" not in kind.verbs:
            texts.append(f"{selector.get('kind') or ''} of {selector.get('apiVersion') or ''}")
    return texts


def _merged(one: Selected | None, other: Selected) -> Selected:
    if one is None:
        return other
    namespaces = ALL if ALL in (one.namespaces, other.namespaces) else one.namespaces | other.namespaces
    return Selected(other.kind, namespaces)


def wanted(specs: Iterable[AnyObject], cluster: Any, kind_of: KindOf) -> dict[str, Selected]:
    """What all registries together want of a cluster, by resource."""
    found: dict[str, Selected] = {}
    for spec in specs:
        if matcher(spec.get("targetCluster"))(cluster):
            for resource, each in selected(spec, kind_of).items():
                found[resource] = _merged(found.get(resource), each)
    return found


def kinds_of(catalog: Catalog) -> KindOf:
    def kind_of(api_version: str, kind: str) -> Kind | None:
        try:
            return catalog.by_kind(*split_api_version(api_version), kind)
        except ValueError:
            return None

    return kind_of


@final
class Registries:
    """All ResourceRegistries as they are now, and what they select. ``changed`` is called when something of it is another."""

    def __init__(self, cache: Cache, catalog: Catalog, changed: Callable[[str], None] = lambda name: None) -> None:
        self._cache = cache
        self._catalog = catalog
        self._changed = changed
        self._specs: dict[str, Object] = {}
        self._resources: dict[str, Kind] = {}
        self._revision = -1
        cache.listen(REGISTRIES, self._observe)
        cache.on_reset(self._load)
        self._load()

    @property
    def specs(self) -> Mapping[str, Object]:
        return self._specs

    def resources(self) -> Mapping[str, Kind]:
        """What somebody selects, wherever it is."""
        if self._revision != self._catalog.revision:
            kind_of = kinds_of(self._catalog)
            self._resources = {
                resource: each.kind
                for spec in self._specs.values()
                for resource, each in selected(spec, kind_of).items()
            }
            self._revision = self._catalog.revision
        return self._resources

    def _load(self) -> None:
        entries = self._cache.resource(REGISTRIES).entries()
        self._specs = {entry.key.name: entry.decode().get("spec") or {} for entry in entries}
        self._revision = -1

    def _observe(self, event: Event) -> None:
        name = event.key.name
        before = self._specs.get(name)
        if event.new is None or event.new.meta.deletionTimestamp:
            self._specs.pop(name, None)
        else:
            self._specs[name] = event.new.decode().get("spec") or {}
        if before != self._specs.get(name):
            self._revision = -1
            self._changed(name)
