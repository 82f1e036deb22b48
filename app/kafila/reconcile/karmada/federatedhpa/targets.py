"""What a FederatedHPA scales: its template, where that is placed, and how it stands in the clusters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple, TypeVar, final

import orjson

from kafila.autoscaling.pods import Pod
from kafila.autoscaling.podset import PodSet
from kafila.catalog.kind import Kind
from kafila.core import selectors
from kafila.core.conditions import condition
from kafila.core.errors import StatusError, not_found
from kafila.core.remembered import remembered
from kafila.core.resources import Key, split_api_version
from kafila.core.selectors import SelectorError
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.constants import Identity, binding_name
from kafila.placement.types import Binding
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.indexes import binding_key
from kafila.reconcile.karmada.kinds import Kinds
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.scale import scale_of
from kafila.watch import Entry

from .copies import Copies
from .members import Pods

K = TypeVar("K")
S = TypeVar("S")
T = TypeVar("T")
MOST_KNOWN: Final = 65_536  # entries of which is kept what was read
_NOWHERE = "failed to get replicas in any of clusters, possibly because all of clusters are not ready"
_NO_SELECTOR = "the HPA target's scale is missing a selector"


@remembered(16_384)  # an autoscaler's is the same at every look
def parsed_selector(text: str) -> selectors.Selector:
    """Raises SelectorError."""
    return selectors.parse(text)


class NoTarget(Exception):
    """What keeps it from being scaled: the reasons of event and condition, and the messages of both."""

    expected = True

    def __init__(self, event: str, reason: str, message: str, what: str) -> None:
        super().__init__(message)
        self.event, self.reason, self.message = event, reason, message
        self.condition = condition(
            "AbleToScale", "False", reason, f"the HPA controller was unable to {what}: {message}"
        )


class Template(NamedTuple):
    """What is known of a workload's template. ``replicas``: what it asks for over all clusters."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: str
    replicas: int
    labels: Collection[str]  # their keys


class Placed(NamedTuple):
    """A binding: of which template, in which version, and the clusters that it names."""

    uid: str
    api_version: str
    clusters: Sequence[str]


class Scale(NamedTuple):
    """A workload in one member: replicas that it asks for and that are reported, and the selector of its pods."""

    asked: int
    reported: int
    selector: str


class InClusters(NamedTuple):
    """The workload in all its clusters together: what it asks for there, what is reported, which pods it has.

    ``troubles``: reason of an event, its message, and the message of a condition, for clusters that could not be counted.
    """

    replicas: int
    status_replicas: int
    selector: str
    pods: PodSet
    troubles: Sequence[tuple[str, str, str]]


_Troubles = Sequence[tuple[str, str, str]]
_InCluster = tuple[Scale, Sequence[Pod], _Troubles]  # of one cluster what :class:`InClusters` has of all


@final
class Targets:
    def __init__(self, registry: Registry, clusters: Clusters, copies: Copies, pods: Pods) -> None:
        self._registry = registry
        self._clusters = clusters
        self._copies = copies
        self._pods = pods
        self._kinds = Kinds(registry)
        # what was read of an entry, or of a copy's text, while it is the newest: most looks find nothing changed
        self._templates: dict[tuple[Key, str], tuple[Entry, Template]] = {}
        self._placed: dict[Identity, tuple[Entry, Placed]] = {}
        self._scales: dict[tuple[str, str, str, str, str], tuple[bytes, Scale | None]] = {}
        self._together: dict[tuple[str, str, str], tuple[Sequence[_InCluster], InClusters]] = {}

    def clear(self) -> None:
        for known in (self._templates, self._placed, self._scales, self._together):
            known.clear()

    def template(self, namespace: str, reference: Object) -> Template:
        """Raises NoTarget, also for what has no namespace: it is not for whoever writes in one of them to scale."""
        api_version, kind_name, name = reference.get("apiVersion") or "", reference["kind"], reference["name"]
        try:
            group, version = split_api_version(api_version)
        except ValueError as error:
            raise _no_scale(str(error)) from None
        kind = self._registry.catalog.by_kind(group, version, kind_name)
        if kind is None:
            raise _no_reference(f'no matches for kind "{kind_name}" in version "{api_version}"')
        entry = self._registry.cache.get(kind.resource, namespace, name) if kind.namespaced else None
        if entry is None:
            raise _no_reference(not_found(kind.group, kind.plural, name).message)
        return _known(
            self._templates, (entry.key, kind.version), entry, lambda: _template(kind, decode_entry(kind, entry))
        )

    def binding(self, template: Template) -> Placed:
        """Raises NoTarget."""
        kind, labels = template.kind, template.labels
        if not labels:
            raise _no_binding("target resource has no label")
        if constants.PP_PERMANENT_ID not in labels and constants.CPP_PERMANENT_ID not in labels:
            raise _no_binding("no label of policy permanent-id found")
        placed = self._placed_of(Identity(kind.group, kind.kind, template.namespace, template.name))
        if placed.uid and placed.uid != template.uid:
            raise _no_binding("no binding matches the target resource")
        return placed

    def _placed_of(self, obj: Identity) -> Placed:
        """Raises NoTarget."""
        cache, known = self._registry.cache, self._placed.get(obj)
        if known is not None and cache.get(*known[0].key) is known[0]:
            return known[1]
        entry = cache.get(*binding_key(cache, obj))
        if entry is None:
            raise _no_binding("length of binding list is zero")
        placed = _placed(self._kinds.read_binding(entry))
        if entry.key.name == binding_name(obj.kind, obj.name):  # one of another name gives way to it
            _keep(self._placed, obj, (entry, placed))
        return placed

    def clusters(self, placed: Placed) -> list[str]:
        """Those that are ready. Raises NoTarget."""
        wanted = placed.clusters
        if not wanted:
            raise _no_clusters("binding has no schedulable clusters")
        for name in wanted:
            if self._clusters.get(name) is None:
                raise _no_clusters(not_found("cluster.karmada.io", "clusters", name).message)
        return [name for name in wanted if self._clusters.is_ready(name)]

    async def in_clusters(self, template: Template, placed: Placed, clusters: Sequence[str]) -> InClusters:
        """Raises NoTarget. A cluster that cannot be asked is left out."""
        kind, namespace = template.kind, template.namespace
        metadata = {"namespace": namespace, "name": template.name}
        copy = {"apiVersion": placed.api_version, "kind": kind.kind, "metadata": metadata}
        parts: list[_InCluster] = []
        for cluster in clusters:
            observed = await self._copies.observed_body(cluster, kind, copy) if kind.scale is not None else None
            if observed is None:
                continue
            scale = self._scale(cluster, template, observed)
            if scale is None:
                continue
            found, trouble = await self._pods_in(cluster, namespace, scale.selector)
            if found is None:
                continue  # replicas whose pods nobody knows would look as if they had no load
            parts.append((scale, found, trouble))
        place = kind.resource, namespace, template.name
        known = self._together.get(place)
        if known is not None and known[0] == parts:
            return known[1]
        made = _together(parts)
        _keep(self._together, place, (parts, made))
        return made

    def _scale(self, cluster: str, template: Template, observed: bytes) -> Scale | None:
        kind = template.kind
        key = cluster, kind.resource, kind.version, template.namespace, template.name
        return _known(self._scales, key, observed, lambda: _scale_of(kind, observed))

    async def _pods_in(
        self, cluster: str, namespace: str, selector: str
    ) -> tuple[Sequence[Pod] | None, list[tuple[str, str, str]]]:
        """The pods, None where they cannot be listed at the moment; and what is wrong with the selector."""
        if not selector:
            return [], [("SelectorRequired", "selector is required", _NO_SELECTOR)]
        try:
            return await self._pods.select(cluster, namespace, parsed_selector(selector)), []
        except SelectorError as error:
            text = f"couldn't convert selector into a corresponding internal selector object: {error}"
            return [], [("InvalidSelector", text, text)]


def _together(parts: Sequence[_InCluster]) -> InClusters:
    """Raises NoTarget."""
    replicas = sum(scale.asked for scale, _, _ in parts)
    if not replicas:
        raise _no_scale(_NOWHERE)
    return InClusters(
        replicas,
        sum(scale.reported for scale, _, _ in parts),
        next((scale.selector for scale, _, _ in parts if scale.selector), ""),
        PodSet([pod for _, pods, _ in parts for pod in pods]),
        [trouble for _, _, troubles in parts for trouble in troubles],
    )


def _known(known: dict[K, tuple[S, T]], key: K, source: S, read: Callable[[], T]) -> T:
    """What ``read`` makes of the source, as long as that is the same."""
    found = known.get(key)
    if found is not None and found[0] is source:
        return found[1]
    made = read()
    _keep(known, key, (source, made))
    return made


def _keep(known: dict[K, T], key: K, value: T) -> None:
    if len(known) >= MOST_KNOWN:
        known.clear()
    known[key] = value


def _template(kind: Kind, obj: Object) -> Template:
    metadata = obj["metadata"]
    scale = scale_of(kind, obj) if kind.scale is not None else {"spec": {}}
    return Template(
        kind,
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        metadata["resourceVersion"],
        scale["spec"].get("replicas", 0),
        frozenset(metadata.get("labels") or ()),
    )


def _placed(binding: Binding) -> Placed:
    resource = binding["spec"]["resource"]
    names = tuple(target["name"] for target in binding["spec"].get("clusters") or ())
    return Placed(resource.get("uid") or "", resource["apiVersion"], names)


def _scale_of(kind: Kind, observed: bytes) -> Scale | None:
    """None for what has not the shape of its kind."""
    try:
        scale = scale_of(kind, orjson.loads(observed))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    asked, counted = scale["spec"].get("replicas", 0), scale["status"]["replicas"]
    selector = scale["status"].get("selector", "")
    if not isinstance(asked, int) or not isinstance(counted, int) or not isinstance(selector, str):
        return None
    return Scale(max(asked, 0), max(counted, 0), selector)


def _no_scale(message: str) -> NoTarget:
    return NoTarget("FailedGetScale", "FailedGetScale", message, "get the target's current scale")


def _no_reference(message: str) -> NoTarget:
    name = "FailedGetScaleTargetRef"
    return NoTarget(name, name, message, "get the target reference object")


def _no_binding(message: str) -> NoTarget:
    return NoTarget("FailedGetBindings", "FailedGetBinding", message, "get the binding by scaleTargetRef")


def _no_clusters(message: str) -> NoTarget:
    name = "FailedGetTargetClusters"
    return NoTarget(name, name, message, "get the target clusters from binding")


def failed_to_write(error: StatusError) -> Object:
    """The condition for a number of replicas that could not be set."""
    text = f"the HPA controller was unable to update the target scale: {error.message}"
    return condition("AbleToScale", "False", "FailedUpdateScale", text)
