"""Server-side apply: a manager states the fields it wants; what others own is a conflict, what it no longer wants goes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import orjson

from kafila.core.errors import StatusError, bad_request
from kafila.core.resources import gvk_of
from kafila.core.values import Object

from . import typed
from .compare import ElementError, compare
from .fieldset import FieldSet, Path, difference, field_path, from_paths, has, intersection, path_text, paths, union
from .managedfields import (
    SCALE,
    Managed,
    ManagedFieldsError,
    Manager,
    Owned,
    decode,
    encode,
    manager_of,
    strip,
    take_from_others,
    update,
    without_reset_fields,
)
from .schema import Schema
from .typed import TypedError

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
BEFORE_FIRST_APPLY: Final = "before-first-apply"
MAX_ANNOTATIONS: Final = 256 * 1024  # bytes of all annotations together

Conflict = tuple[Manager, str, Path]  # who, in which version, which field


class _Conflicts(Exception):
    def __init__(self, found: list[Conflict]) -> None:
        super().__init__()
        self.found = found


def apply(
    live: Object,
    config: Object,
    *,
    manager: str,
    force: bool = False,
    api_version: str,
    subresource: str = "",
    time: str,
    schema: Schema,
    reset_fields: Sequence[Sequence[str]] | None = None,
) -> Object:
    """``live`` with ``config`` merged in and ``metadata.managedFields`` brought up to date. Arguments are not changed.

    For an object that does not exist yet ``live`` is one of its type with nothing but its name. The result is not yet
    decoded: what was removed may be null, quantities are as written. ``reset_fields`` are paths that this resource does
    not write; by default ``status``, or ``spec`` through the subresource status.

    Raises StatusError: 409 with FieldManagerConflict causes, 400 for another type or with managedFields, 500 for a
    configuration that does not fit the type (Kubernetes' own choice).
    """
    _check_config(live, config, api_version)
    if reset_fields is None:
        reset_fields = _default_reset(schema, subresource)
    reset = from_paths([field_path(*path) for path in reset_fields])
    managed = _tracked(live, config, api_version, subresource, time, schema, reset)
    me = manager_of(manager, "Apply", api_version, subresource)
    try:
        merged, managed = _merged(live, config, managed, me, api_version, force, schema, reset)
    except _Conflicts as conflicts:
        left = conflicts.found
        if manager == "kubectl":
            left = _without_last_applied(left, live, api_version, schema)
        if left:
            raise _conflict_error(left) from None
        merged, managed = _merged(live, config, managed, me, api_version, True, schema, reset)
    except ElementError:  # the configuration was checked before
        _check_live(schema, live)
        raise
    return _result(live, config, merged, managed, me, time)


def _check_config(live: Object, config: Object, api_version: str) -> None:
    try:
        gvk = gvk_of(config)
    except ValueError:
        raise bad_request(f"invalid object type: {config.get('apiVersion')}") from None
    if gvk.api_version != api_version or gvk.kind != live.get("kind", gvk.kind):
        raise bad_request(f"invalid object type: {gvk}")
    if (config.get("metadata") or {}).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")


def _default_reset(schema: Schema, subresource: str) -> list[list[str]]:
    if "status" not in schema.fields:
        return []
    return {"": [["status"]], "status": [["spec"]]}.get(subresource, [])


def _tracked(
    live: Object, config: Object, api_version: str, subresource: str, time: str, schema: Schema, reset: FieldSet
) -> Managed:
    """The managers of ``live``. An object that nobody tracked belongs to who wrote it before the first apply."""
    try:
        managed = decode(live.get("metadata", {}).get("managedFields"), trusted=True)
    except ManagedFieldsError as error:
        raise _failed(f"failed to decode managed fields: {error}") from None
    if not managed:
        try:
            entries = update(
                None,
                {**live, "metadata": live.get("metadata") or {}},
                manager=BEFORE_FIRST_APPLY,
                api_version=api_version,
                subresource=subresource,
                time=time,
                schema=schema,
                reset=reset,
            )
        except ElementError:
            _check_patch(schema, config)  # this comes first
            _check_live(schema, live)
            raise
        managed = decode(entries, trusted=True)
    for manager, owned in managed.items():
        fields = typed.reconciled(schema, owned.fields)
        if fields is not owned.fields:
            managed[manager] = Owned(fields, owned.api_version, owned.time)
    return managed


def _merged(
    live: Object,
    config: Object,
    managed: Managed,
    me: Manager,
    api_version: str,
    force: bool,
    schema: Schema,
    reset: FieldSet,
) -> tuple[Object | None, Managed]:
    """The new object, None when it is equal to ``live``, and the new managers. Raises _Conflicts, StatusError 500."""
    _check_patch(schema, config)
    managed = dict(managed)
    merged = typed.merge(schema, live, config)
    last = managed.get(me)
    mine = without_reset_fields(typed.field_set(schema, config), reset)
    managed[me] = Owned(mine, api_version, last.time if last else None)
    # What is applied again cannot go: then there is nothing to prune, which is most of the work.
    if last and difference(last.fields, mine):
        merged = _pruned(schema, merged, managed, last.fields)
    _take(live, merged, managed, me, force, schema, reset)
    kept = strip(mine)
    if kept:
        managed[me] = Owned(kept, api_version, last.time if last else None)
    else:
        managed.pop(me, None)
    return None if live == merged else merged, managed


def _check_patch(schema: Schema, config: Object) -> None:
    try:
        typed.check(schema, config)
    except TypedError as error:
        raise _failed(f"failed to create typed patch object ({_name(config)}): {error}") from None


def _check_live(schema: Schema, live: Object) -> None:
    try:
        typed.check(schema, live, allow_duplicates=True)
    except TypedError as error:
        raise _failed(f"failed to create typed live object ({_name(live)}): {error}") from None


def _pruned(schema: Schema, merged: Object, managed: Managed, last: FieldSet) -> Object:
    """Without what this manager applied last time and nobody owns now."""
    named = typed.with_named_fields
    last = named(schema, last)
    pruned = typed.remove_items(schema, merged, last) or {}
    everything = named(schema, typed.field_set(schema, merged))
    owned: FieldSet = {}
    for one in managed.values():
        owned = union(owned, one.fields)
    left = union(named(schema, typed.field_set(schema, pruned)), named(schema, owned))
    pruned = typed.remove_items(schema, merged, difference(everything, left)) or {}
    # containers that fell empty go only if this manager had owned them
    gone = difference(everything, named(schema, typed.field_set(schema, pruned)))
    return typed.remove_items(schema, merged, intersection(gone, last)) or {}


def _take(
    live: Object, merged: Object, managed: Managed, me: Manager, force: bool, schema: Schema, reset: FieldSet
) -> None:
    removed, changed = compare(schema, live, merged)
    removed, changed = without_reset_fields(removed, reset), without_reset_fields(changed, reset)
    others = {manager: owned for manager, owned in managed.items() if manager != me}
    if not force:
        found = [
            (manager, owned.api_version, path)
            for manager, owned in sorted(others.items(), key=lambda pair: _identifier(pair[0]))
            for path in paths(intersection(owned.fields, changed))
        ]
        if found:
            raise _Conflicts(found)
    mine = managed[me]
    take_from_others(others, removed, changed)
    managed.clear()
    managed.update(others)
    managed[me] = mine


def _identifier(manager: Manager) -> tuple[str, str, str, str]:
    return manager.name, manager.operation, manager.api_version, manager.subresource


def _result(live: Object, config: Object, merged: Object | None, managed: Managed, me: Manager, time: str) -> Object:
    out = dict(live if merged is None else merged)
    metadata = out["metadata"] = dict(out.get("metadata") or {})
    if merged is not None and me in managed:
        managed[me].time = None if me.subresource == SCALE else time
    metadata.pop("managedFields", None)
    if entries := encode(managed):
        metadata["managedFields"] = entries
    if me.name == "kubectl" and (metadata.get("annotations") or {}).get(LAST_APPLIED):
        metadata["annotations"] = _with_last_applied(metadata["annotations"], config)
    return out


def _with_last_applied(annotations: dict[str, str], config: Object) -> dict[str, str]:
    """Keeps ``kubectl apply`` of the client working after ``kubectl apply --server-side``."""
    metadata = dict(config.get("metadata") or {})
    if metadata.get("annotations"):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != LAST_APPLIED}
    text = orjson.dumps({**config, "metadata": metadata}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    out = {**annotations, LAST_APPLIED: text}
    if sum(len(k.encode()) + len(v.encode()) for k, v in out.items()) > MAX_ANNOTATIONS:
        del out[LAST_APPLIED]
    return out


def _without_last_applied(found: list[Conflict], live: Object, api_version: str, schema: Schema) -> list[Conflict]:
    """Conflicts that are real: what kubectl itself had applied from the client is its own."""
    text = (live.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        last = json.loads(text) if text else None
        if not isinstance(last, dict) or last.get("apiVersion") != api_version:
            return found
        typed.check(schema, last)
        removed, changed = compare(schema, last, live)
    except ValueError:
        return found
    own = difference(difference(typed.field_set(schema, last), changed), removed)
    return [conflict for conflict in found if not has(own, conflict[2])]


def _conflict_error(found: list[Conflict]) -> StatusError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {_who(*one[:2])}", "field": path_text(one[2])}
        for one in found
    ]
    if len(found) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines: list[str] = []
        title = ""
        for one in found:
            if title != (title := f"conflicts with {_who(*one[:2])}:"):
                lines.append(title)
            lines.append(f"- {path_text(one[2])}")
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return StatusError(409, "Conflict", message, {"causes": causes})


def _who(manager: Manager, api_version: str) -> str:
    text = json.dumps(manager.name, ensure_ascii=False)
    if manager.subresource:
        text += f" with subresource {json.dumps(manager.subresource)}"
    return f"{text} using {api_version}" if manager.operation == "Update" else text


def _name(obj: Object) -> str:
    metadata = obj.get("metadata") or {}
    return f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}; {gvk_of(obj)}"


def _failed(message: str) -> StatusError:
    return StatusError(500, "", message)
