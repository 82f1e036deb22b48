"""All kinds that are served, in the order of discovery, and how to find one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple, final

from kafila.core.resources import GroupVersionKind

from . import conversion
from .kind import Kind, Scale
from .priorities import KARMADA, LARGEST_PRIORITY, builtin_priorities, priority_of
from .tables import definition_name, read_table, schema_of

# Karmada has servers of its own for these, which may stand beside this one
REPLACEABLE = frozenset({"search.karmada.io", "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"})

_NEW_EVENT = GroupVersionKind("events.k8s.io", "v1", "Event")
_REPLICAS = Scale(".spec.replicas", ".status.replicas", ".spec.selector")
_KUBE_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?$")


class Version(NamedTuple):
    """One served version of a group with its kinds by plural name."""

    group: str
    name: str
    kinds: list[Kind]

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.name}" if self.group else self.name


class Group(NamedTuple):
    name: str  # "" is the core group
    versions: list[Version]  # the preferred one first


class Subresource(NamedTuple):
    """A row of discovery below a kind. Group and version are "" when they are the kind's own."""

    name: str
    kind: GroupVersionKind
    verbs: tuple[str, ...]


@final
class Catalog:
    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self.revision = 0  # rises with every change: what is derived from the content is cached under it
        self._by_resource: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str, str], Kind] = {}
        self._by_storage: dict[str, Kind] = {}
        self._groups: list[Group] = []
        self._listeners: list[Callable[[], None]] = []
        self.add(kinds)

    def on_add(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` whenever there are new kinds."""
        self._listeners.append(listener)

    def get(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_resource.get((group, version, plural))

    def by_kind(self, group: str, version: str, kind: str) -> Kind | None:
        return self._by_kind.get((group, version, kind))

    def storage_kind(self, resource: str) -> Kind | None:
        """The kind whose bodies are stored under ``resource``, for example "deployments.apps"."""
        return self._by_storage.get(resource)

    def groups(self) -> list[Group]:
        """Groups in discovery order. Do not change the lists."""
        return self._groups

    def __iter__(self) -> Iterator[Kind]:
        return (kind for group in self._groups for version in group.versions for kind in version.kinds)

    def __len__(self) -> int:
        return len(self._by_resource)

    def add(self, kinds: Iterable[Kind]) -> None:
        """Adds kinds; one that is served already is replaced."""
        for kind in kinds:
            self._by_resource[kind.group, kind.version, kind.plural] = kind
        self._reindex()
        for listener in self._listeners:
            listener()

    def remove(self, kinds: Iterable[Kind]) -> None:
        """Removes kinds; unknown ones are ignored."""
        for kind in kinds:
            self._by_resource.pop((kind.group, kind.version, kind.plural), None)
        self._reindex()

    def _reindex(self) -> None:
        kinds = sorted(self._by_resource.values(), key=_discovery_order)
        groups: dict[str, dict[str, list[Kind]]] = {}
        for kind in kinds:
            groups.setdefault(kind.group, {}).setdefault(kind.version, []).append(kind)
        self._groups = [Group(g, [Version(g, v, ks) for v, ks in versions.items()]) for g, versions in groups.items()]
        self._by_kind = {(k.group, k.version, k.kind): k for k in kinds}
        # the stored version comes last, so that it wins; where it is not served, another one does
        owners = sorted((k for k in reversed(kinds) if not k.storage_resource), key=_is_stored)
        self._by_storage = {k.resource: k for k in owners}
        self.revision += 1


def load_catalog() -> Catalog:
    """Kubernetes' kinds as a stock server serves them by default, and Karmada's."""
    from kafila.catalog.audit_records import kinds as audit_kinds
    from kafila.catalog.cluster_scores import kinds as score_kinds
    from kafila.catalog.decisions import kinds as decision_kinds
    from kafila.catalog.karmada.kinds import kinds as karmada_kinds  # imported late: pydantic takes its time
    from kafila.catalog.metrics import kinds as metrics_kinds
    from kafila.catalog.revisions import kinds as revision_kinds

    ours = (*decision_kinds(), *score_kinds(), *revision_kinds(), *audit_kinds())
    return Catalog([*builtin_kinds(), *karmada_kinds(), *ours, *metrics_kinds()])


def builtin_kinds() -> list[Kind]:
    tables = _builtin_tables()
    return [
        _builtin_kind(group, version, plural, row)
        for (group, version), rows in tables.items()
        for plural, row in rows.items()
    ]


def _builtin_kind(group: str, version: str, plural: str, row: dict[str, Any]) -> Kind:
    from kafila.catalog import builtin

    gvk = GroupVersionKind(group, version, row["kind"])
    definition = definition_name(*gvk)
    if definition is None:
        raise LookupError(f"no definition of {gvk}")
    subresources = tuple(row.get("subresources", ()))
    kind = Kind(
        group=group,
        version=version,
        kind=gvk.kind,
        plural=plural,
        singular=row["singularName"],
        namespaced=row["namespaced"],
        verbs=tuple(row["verbs"]),
        schema=schema_of(definition),
        strategy=builtin.strategy_for(gvk),
        short_names=tuple(row.get("shortNames", ())),
        categories=tuple(row.get("categories", ())),
        subresources=subresources,
        scale=_REPLICAS if "scale" in subresources else None,
        selectable_fields=builtin.selectable_fields(gvk),
        storage_resource="events" if gvk == _NEW_EVENT else "",
        protobuf="k8s.io." + definition.removeprefix("io.k8s.").replace("-", "_"),
    )
    if (printed := builtin.print_columns(gvk)) is not None:
        kind.columns, kind.cells = printed
    if gvk == _NEW_EVENT:
        kind.to_storage, kind.from_storage = conversion.event_to_core, conversion.event_from_core
    if gvk.kind == "HorizontalPodAutoscaler":
        kind.storage_version = "v2"
        if version == "v1":
            kind.to_storage, kind.from_storage = conversion.autoscaler_to_v2, conversion.autoscaler_from_v2
    return kind


def subresources_of(kind: Kind) -> list[Subresource]:
    """The kind's subresources by name; of custom kinds the status comes first."""
    known = _builtin_tables().get((kind.group, kind.version), {}).get(kind.plural, {}).get("subresources", {})
    return [
        _subresource(name, known[name]) if name in known else _generic_subresource(kind, name)
        for name in sorted(kind.subresources, key=lambda name: (not kind.definition or name != "status", name))
    ]


def _subresource(name: str, row: dict[str, Any]) -> Subresource:
    gvk = GroupVersionKind(row.get("group", ""), row.get("version", ""), row["kind"])
    return Subresource(name, gvk, tuple(row["verbs"]))


_READ_WRITE = ("get", "patch", "update")
_ANY_REQUEST = ("create", "delete", "get", "patch", "update")  # what a proxy passes on


def _generic_subresource(kind: Kind, name: str) -> Subresource:
    if name == "scale":
        return Subresource(name, GroupVersionKind("autoscaling", "v1", "Scale"), _READ_WRITE)
    if name == "proxy":
        return Subresource(name, GroupVersionKind("", "", f"{kind.kind}ProxyOptions"), _ANY_REQUEST)
    return Subresource(name, GroupVersionKind("", "", kind.kind), _READ_WRITE)


def stock_storage_version_hash(kind: Kind) -> str | None:
    """The hash that a stock server shows (it stores some kinds in an older version), None for kinds it does not have."""
    return _builtin_tables().get((kind.group, kind.version), {}).get(kind.plural, {}).get("storageVersionHash")


@cache
def _builtin_tables() -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """Rows of discovery by (group, version), then by plural."""
    groups = read_table("kinds.json")["groups"]
    return {(group["name"], v["version"]): v["resources"] for group in groups for v in group["versions"]}


@cache
def _builtin_groups() -> dict[str, int]:
    return {name: position for position, name in enumerate(dict.fromkeys(g for g, _ in _builtin_tables()))}


def is_served_here(group: str) -> bool:
    """Whether no APIService takes a group away from this server."""
    return group in _builtin_groups() or (group.endswith(KARMADA) and group not in REPLACEABLE)


def group_priority(group: str) -> int:
    """``groupPriorityMinimum`` as the aggregation layer has it; the groups of that layer itself are above all others."""
    if group in _builtin_groups():
        return max(
            (p.group for (name, _), p in builtin_priorities().items() if name == group), default=LARGEST_PRIORITY
        )
    return priority_of(group, "").group


def _is_stored(kind: Kind) -> bool:
    return kind.storage_version in ("", kind.version)


def _discovery_order(kind: Kind) -> tuple[Any, ...]:
    position = _builtin_groups().get(kind.group)
    group = (0, position, "") if position is not None else (1, -group_priority(kind.group), kind.group)
    return (*group, version_order(kind.version), kind.plural)


def version_order(version: str) -> tuple[Any, ...]:
    """Sorts versions as Kubernetes prefers them: v2, v1, v1beta2, v1beta1, v1alpha1, then everything else by name."""
    match = _KUBE_VERSION.match(version)
    if match is None:
        return (1, 0, 0, 0, version)
    stability = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (0, stability, -int(match[1]), -int(match[3] or 0), version)
