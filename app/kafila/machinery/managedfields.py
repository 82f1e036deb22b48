"""``metadata.managedFields``: who set which field, kept up to date on every write that is not a server-side apply."""

from __future__ import annotations

from calendar import timegm
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import strptime
from typing import Final, Literal, NamedTuple

from kafila.core.remembered import remembered
from kafila.core.values import Object, same_json

from .compare import compare
from .fieldset import (
    FieldSet,
    difference,
    field_path,
    from_paths,
    intersection,
    normal,
    recursive_difference,
    union,
    union_all,
)
from .schema import Schema

Operation = Literal["Apply", "Update"]

MAX_UPDATE_MANAGERS: Final = 10
ANCIENT: Final = "ancient-changes"
SCALE: Final = "scale"  # whose entries have no time: the workload's managedFields never knew one

# What the server sets is nobody's.
_STRIPPED: Final = from_paths(
    [
        field_path("apiVersion"),
        field_path("kind"),
        field_path("metadata"),
        *(
            field_path("metadata", name)
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "clusterName",
                "generation",
                "managedFields",
                "resourceVersion",
            )
        ),
    ]
)


class Manager(NamedTuple):
    """What makes two entries the same manager. An applier has one entry whatever version it applies (``""``)."""

    name: str
    operation: Operation
    api_version: str
    subresource: str


@dataclass(slots=True)
class Owned:
    """What a manager owns, in the field names of one version of the type."""

    fields: FieldSet
    api_version: str
    time: str | None = None
    entry: Object | None = None  # as it was stored, while nothing about it has changed


Managed = dict[Manager, Owned]


class ManagedFieldsError(ValueError):
    """The list of managedFields is malformed; the message is Kubernetes' own."""


def manager_of(name: str, operation: Operation, api_version: str, subresource: str) -> Manager:
    return Manager(name or "unknown", operation, "" if operation == "Apply" else api_version, subresource)


def decode(entries: Iterable[Object] | None, trusted: bool = False) -> Managed:
    """``trusted``: written by ``encode``, so sets need no look. Raises ManagedFieldsError."""
    out: Managed = {}
    for i, entry in enumerate(entries or ()):
        operation = entry.get("operation")
        if operation not in ("Apply", "Update"):
            raise ManagedFieldsError("operation must be `Apply` or `Update`")
        api_version = entry.get("apiVersion")
        if not api_version:
            raise ManagedFieldsError("apiVersion must not be empty")
        kind = entry.get("fieldsType")
        if kind != "FieldsV1":
            problem = f'invalid fieldsType "{kind}"' if kind else "missing fieldsType"
            raise ManagedFieldsError(f"{problem} in managed fields entry {i}")
        manager = Manager(
            entry.get("manager") or "",
            operation,
            "" if operation == "Apply" else api_version,
            entry.get("subresource") or "",
        )
        fields = entry.get("fieldsV1") or {}
        try:
            if not trusted:
                fields = normal(fields)
        except (ValueError, TypeError) as error:
            raise ManagedFieldsError(f"error decoding set: {error}") from None
        out[manager] = Owned(fields, api_version, entry.get("time"), entry if trusted else None)
    return out


def encode(managed: Managed) -> list[Object]:
    """The entries in Kubernetes' order: appliers first, then by time and name."""
    out = []
    several = len(managed) > 1
    for manager in sorted(managed, key=lambda manager: _rank(manager, managed[manager])) if several else managed:
        owned = managed[manager]
        if owned.entry is not None:
            out.append(owned.entry)
            continue
        entry: Object = {}
        if manager.name:
            entry["manager"] = manager.name
        entry["operation"] = manager.operation
        entry["apiVersion"] = owned.api_version
        if owned.time is not None:
            entry["time"] = owned.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = owned.fields
        if manager.subresource:
            entry["subresource"] = manager.subresource
        out.append(entry)
    return out


def _rank(manager: Manager, owned: Owned) -> tuple[str, int, str, str, str]:
    return manager.operation, _seconds(owned.time), manager.name, owned.api_version, manager.subresource


@remembered(4096)
def _seconds(time: str | None) -> int:
    if not time:
        return 0
    try:
        return timegm(strptime(time, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return 0


def update(
    old: Object | None,
    new: Object,
    *,
    manager: str,
    operation: Operation = "Update",
    api_version: str,
    subresource: str,
    time: str | None,
    schema: Schema,
    reset: FieldSet | None = None,
) -> list[Object]:
    """The entries of ``new``, which was created (``old`` is None) or changed by ``manager``. Fields of ``reset`` are not its to write.

    ``managedFields`` that come with ``new`` replace the stored ones, except through a subresource; an empty list resets
    them. Neither object is changed.
    """
    managed = _sent_or_stored(old, new, subresource)
    if not managed and old is not None:
        return []  # untracked, or reset: tracking begins with the first apply
    me = manager_of(manager, operation, api_version, subresource)
    removed, changed = compare(schema, empty_object(schema, new) if old is None else old, new)
    mine = without_reset_fields(difference(changed, _STRIPPED), reset or {})
    take_from_others(managed, removed, changed)
    if mine:
        previous = managed.get(me)
        when = None if subresource == SCALE else time
        managed[me] = Owned(union(mine, previous.fields) if previous else mine, api_version, when)
        _cap(managed)
    return encode(managed)


def _sent_or_stored(old: Object | None, new: Object, subresource: str) -> Managed:
    stored = (old or {}).get("metadata", {}).get("managedFields")
    sent = new["metadata"].get("managedFields")
    if not subresource:
        if is_reset(sent):
            return {}
        if sent:
            try:
                return decode(sent, trusted=sent == stored)
            except ManagedFieldsError:
                pass  # as if nothing had been sent
    try:
        return decode(stored, trusted=True)
    except ManagedFieldsError:
        return {}


def is_reset(entries: Sequence[Object] | None) -> bool:
    return entries is not None and (len(entries) == 0 or (len(entries) == 1 and not entries[0]))


def empty_object(schema: Schema, like: Object) -> Object:
    """What a create is compared with: fields that every object of the type has are nobody's."""
    zero = schema.compiled.get("zero")
    if zero is None:
        zero = schema.compiled["zero"] = _zero(schema)
    return {**zero, "apiVersion": like.get("apiVersion"), "kind": like.get("kind")}


def _zero(schema: Schema) -> Object:
    """What Go writes of an object of this type of which nothing is set; defaults are somebody's."""
    return {
        key: _zero(schema.fields[key]) if zero is not None and schema.fields[key].kind == "struct" else zero
        for key, zero in schema.always.items()
    }


def take_from_others(managed: Managed, removed: FieldSet, changed: FieldSet) -> None:
    """No manager keeps what is gone or what somebody else has changed. Managers left with nothing disappear."""
    for manager, owned in list(managed.items()):
        fields = owned.fields
        if changed and (lost := intersection(fields, changed)):
            fields = difference(fields, lost)
        if removed:
            fields = difference(fields, removed)
        if not fields:
            del managed[manager]
        elif fields is not owned.fields:
            managed[manager] = Owned(fields, owned.api_version, owned.time)


def _cap(managed: Managed) -> None:
    """Merges the oldest updates of one version until no more than MAX_UPDATE_MANAGERS are left."""
    updates = [manager for manager in managed if manager.operation == "Update"]
    left = len(updates)
    if left <= MAX_UPDATE_MANAGERS:
        return
    updates.sort(key=lambda manager: (_seconds(managed[manager].time), _identifier(manager)))
    first: dict[str, Manager] = {}
    merged: dict[Manager, list[FieldSet]] = {}
    for manager in updates:
        if left <= MAX_UPDATE_MANAGERS:
            break
        version = managed[manager].api_version
        if version not in first:
            first[version] = manager
            continue
        bucket = Manager(ANCIENT, "Update", version, "")
        if bucket not in managed:
            managed[bucket] = managed.pop(first[version])
        owned = managed[manager]
        merged.setdefault(bucket, [managed[bucket].fields]).append(owned.fields)
        if manager != bucket:
            del managed[manager]
        managed[bucket] = Owned({}, version, owned.time)
        left -= 1
    for bucket, sets in merged.items():
        managed[bucket].fields = union_all(sets)


def _identifier(manager: Manager) -> tuple[str, str, str, str]:
    return manager.name, manager.operation, manager.api_version, manager.subresource


def keep_times_of_no_change(old: Object, new: Object) -> None:
    """Gives ``new`` the times of ``old`` when nothing else differs, so that a repeated apply is no write at all."""
    before, after = old["metadata"].get("managedFields"), new["metadata"].get("managedFields")
    if not before or not after or len(before) != len(after) or before == after:
        return
    stored = {**old, "metadata": {**old["metadata"], "managedFields": None}}
    sent = {**new, "metadata": {**new["metadata"], "managedFields": None}}
    if stored != sent:  # nearly always: Python says so much sooner
        return
    if not all(same_json({**a, "time": None}, {**b, "time": None}) for a, b in zip(before, after, strict=True)):
        return
    if same_json(stored, sent):
        new["metadata"]["managedFields"] = before


def without(entry: Object, path: Sequence[str]) -> Object | None:
    """An encoded entry that does not own a field any more, None when that was all."""
    fields = difference(entry["fieldsV1"], from_paths([field_path(*path)]))
    return {**entry, "fieldsV1": fields} if fields else None


def strip(fields: FieldSet) -> FieldSet:
    """Without the fields that nobody can own."""
    return difference(fields, _STRIPPED)


def without_reset_fields(fields: FieldSet, reset: FieldSet) -> FieldSet:
    """Without fields that the verb does not write, such as ``status`` on the main resource."""
    return recursive_difference(fields, reset) if reset else fields
