"""Which Works belong to which binding, and which template a binding is of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core import sets
from kafila.core.resources import Key, split_api_version
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.constants import Identity
from kafila.placement.spec import existing_clusters
from kafila.placement.work.build import is_work_of
from kafila.reconcile.chunks import Chunks
from kafila.watch import Cache, Entry, Event
from kafila.watch.entry import OwnerReference

from .kinds import BINDINGS, CLUSTER_BINDINGS, WORKS, stored_work

CLAIM: Final = b"propagationpolicy.karmada.io/"  # in the label and the annotations of every claimed object


@final
class WorkIndex:
    """Works by the permanent id of their binding."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._by_id: dict[str, set[Key]] = {}
        self._ids: dict[Key, tuple[str, ...]] = {}
        cache.listen(WORKS, self._observe)

    def loading(self) -> Chunks:
        self._by_id.clear()
        self._ids.clear()
        for chunk in self._cache.resource(WORKS).chunks():
            for entry in chunk:
                self._add(entry)
            yield

    def of(self, binding: Entry) -> list[Entry]:
        found = (self._cache.get(*key) for key in sorted(self._by_id.get(id_of_binding(binding), ())))
        return [entry for entry in found if entry is not None]

    def lag_behind(self, binding: Entry) -> bool:
        """The Works are elsewhere, or the binding follows others."""
        spec = binding.decode()["spec"]
        clusters = {constants.cluster_of(work.key.namespace) for work in self.of(binding)}
        return "requiredBy" in spec or clusters != existing_clusters(spec)

    def named(self, obj: Identity, clusters: Iterable[str]) -> tuple[list[Entry], set[str]]:
        """Works of the object by their names, and the clusters where Karmada's name is that of another object's Work.

        Another binding has written them, or an earlier one has left them, to wait for their members.
        """
        theirs, own = constants.work_name(obj.kind, obj.name, obj.namespace), constants.own_work_name(obj)
        found: list[Entry] = []
        taken: set[str] = set()
        for cluster in clusters:
            for name in (own, theirs):
                entry = self._cache.get(WORKS, constants.execution_namespace(cluster), name)
                if entry is None:
                    continue
                if is_work_of(stored_work(entry), obj):
                    found.append(entry)
                    break
                taken.add(cluster)
        return found, taken

    def _observe(self, event: Event) -> None:
        if event.new is None:
            self._remove(event.key)
        elif event.old is None:
            self._add(event.new)
        elif ids_of(event.new) != self._ids.get(event.key, ()):
            self._remove(event.key)
            self._add(event.new)

    def _add(self, entry: Entry) -> None:
        permanent_ids = ids_of(entry)
        if permanent_ids:
            self._ids[entry.key] = permanent_ids
        for permanent_id in permanent_ids:
            self._by_id.setdefault(permanent_id, set()).add(entry.key)

    def _remove(self, key: Key) -> None:
        for permanent_id in self._ids.pop(key, ()):
            sets.discard(self._by_id, permanent_id, key)


@final
class ClaimIndex:
    """Templates and bindings by the permanent id of the policy that has claimed them."""

    def __init__(self) -> None:
        self._by_id: dict[str, set[Key]] = {}
        self._ids: dict[Key, str] = {}

    def clear(self) -> None:
        self._by_id.clear()
        self._ids.clear()

    def keys(self, policy_id: str) -> list[Key]:
        return sorted(self._by_id.get(policy_id, ())) if policy_id else []

    def count(self, policy_id: str) -> int:
        """How many keys there are, without going through them."""
        return len(self._by_id.get(policy_id, ())) if policy_id else 0

    def put(self, entry: Entry) -> None:
        key, policy_id = entry.key, policy_id_of(entry)
        if self._ids.get(key, "") == policy_id:
            return
        self.remove(key)
        if policy_id:
            self._ids[key] = policy_id
            self._by_id.setdefault(policy_id, set()).add(key)

    def remove(self, key: Key) -> None:
        policy_id = self._ids.pop(key, None)
        if policy_id is not None:
            sets.discard(self._by_id, policy_id, key)


def policy_id_of(entry: Entry) -> str:
    """The permanent id of a policy, or of the one that has claimed the object: of a PropagationPolicy first."""
    if not entry.mentions(CLAIM):  # most objects that users write, of which nothing else is read here
        return ""
    labels = entry.meta.labels or {}
    return labels.get(constants.PP_PERMANENT_ID) or labels.get(constants.CPP_PERMANENT_ID) or ""


def ids_of(entry: Entry) -> tuple[str, ...]:
    """The permanent ids of the bindings that a Work belongs to (`shared`); only Works in execution namespaces belong to one."""
    if not entry.key.namespace.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
        return ()
    labels = entry.meta.labels or {}
    return tuple(
        labels[label] for label in (constants.RB_PERMANENT_ID, constants.CRB_PERMANENT_ID) if labels.get(label)
    )


def id_of_binding(entry: Entry) -> str:
    labels = entry.meta.labels or {}
    return labels.get(constants.RB_PERMANENT_ID) or labels.get(constants.CRB_PERMANENT_ID) or ""


def binding_key_of_work(entry: Entry) -> Key | None:
    """The binding that a Work was made for; what somebody writes elsewhere is none of ours."""
    if not entry.key.namespace.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
        return None
    annotations = entry.meta.annotations or {}
    if constants.RB_NAME in annotations:
        return Key(BINDINGS, annotations.get(constants.RB_NAMESPACE, ""), annotations[constants.RB_NAME])
    if constants.CRB_NAME in annotations:
        return Key(CLUSTER_BINDINGS, "", annotations[constants.CRB_NAME])
    return None


def template_key_of(entry: Entry, catalog: Catalog) -> Key | None:
    """The template that owns a binding."""
    owner = owner_of(entry)
    if owner is not None:
        group, version = split_api_version(owner.apiVersion)
        kind = catalog.by_kind(group, version, owner.kind)
        if kind is not None:
            return Key(kind.resource, entry.key.namespace if kind.namespaced else "", owner.name)
    return None


def owner_of(binding: Entry) -> OwnerReference | None:
    """The template of a binding: its controller. One that a MultiClusterService has made only names its Service, as Karmada's does."""
    owners = binding.meta.ownerReferences or ()
    found = next((owner for owner in owners if owner.controller), None)
    return owners[0] if found is None and len(owners) == 1 else found


def binding_key(cache: Cache, obj: Identity, namespace: str | None = None) -> Key:
    """The binding that an object has, or will have. ``namespace``: of a binding where workloads need it, else the object's own.

    It has Karmada's name. Where that is no name, or another object's binding has it, a name with a suffix, which it keeps.
    """
    where = obj.namespace if namespace is None else namespace
    resource = BINDINGS if where else CLUSTER_BINDINGS
    theirs = Key(resource, where, constants.binding_name(obj.kind, obj.name))
    first = cache.get(*theirs)
    owner = _owner_of(first)
    if owner == _as_owner(obj):
        return theirs  # nearly always
    own = Key(resource, where, constants.own_binding_name(obj))
    if _owner_of(cache.get(*own)) == _as_owner(obj):
        return own
    free = first is None or owner is None  # one that nobody owns is whoever's comes first
    return theirs if free and constants.is_lawful(theirs.name) else own


def may_have_binding(cache: Cache, kind: Kind, key: Key) -> bool:
    """Whether there is a binding with a name that the object's would have."""
    bindings = cache.resource(BINDINGS if key.namespace else CLUSTER_BINDINGS)
    if not bindings.objects:
        return False
    obj = Identity(kind.group, kind.kind, key.namespace, key.name)
    return any(bindings.get(key.namespace, name) is not None for name in constants.binding_names(obj))


def _owner_of(binding: Entry | None) -> tuple[str, str, str] | None:
    """Group, kind and name."""
    owner = owner_of(binding) if binding is not None else None
    return (split_api_version(owner.apiVersion)[0], owner.kind, owner.name) if owner is not None else None


def _as_owner(obj: Identity) -> tuple[str, str, str]:
    return obj.group, obj.kind, obj.name


def owns(template: Object, binding: Entry) -> bool:
    """Objects that come and go may have one name: whose binding is it?"""
    owner = owner_of(binding)
    return owner is not None and owner.uid == template["metadata"].get("uid")


def stored_size(cache: Cache, kind: Kind, obj: Object) -> int:
    """Bytes that are stored of an object."""
    metadata = obj["metadata"]
    entry = cache.get(kind.resource, metadata.get("namespace", ""), metadata["name"])
    return len(entry.body) if entry is not None else 0
