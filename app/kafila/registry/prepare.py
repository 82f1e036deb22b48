"""From a decoded object to a change that can be committed: what every write of every kind goes through.

The order is Kubernetes': default, mutate (admission), fill system fields, strategy, validate, admit, track fields.
"""

from __future__ import annotations

from typing import Any, Final

from kafila.admission import DEFAULT, Admission
from kafila.catalog.kind import Kind, Strategy
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.metadata import validate_object_meta, validate_object_meta_update
from kafila.core.names import dns1123_subdomain, generate_name, new_uid
from kafila.core.resources import Key
from kafila.core.values import Object, nested, remove_nested
from kafila.machinery import empty_lists, managedfields
from kafila.machinery.compare import ElementError
from kafila.store.interface import Guard, Write
from kafila.watch import Entry

from .allocation import NOTHING, ServiceAllocator
from .asking import Calls, Steps, asked_to_create, asked_to_update, question, stored
from .codec import encode_body, same_object, with_version
from .coming_through import coming_through, keep, keeps_status, only_status
from .context import Change, Options
from .owners import drop_repeated_owners
from .reset_fields import reset_fields
from .scale import replicas_path

OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"
UNTRACKED: Final = ("binding", "eviction")  # what the server writes of a pod for these belongs to nobody


def key_of(kind: Kind, namespace: str, name: str) -> Key:
    return Key(kind.resource, namespace if kind.namespaced else "", name)


def prepare_create(
    kind: Kind,
    namespace: str,
    obj: Object,
    options: Options,
    needed: tuple[Guard, ...],
    allocator: ServiceAllocator | None = None,
    *,
    tracked: bool = False,
    admission: Admission = DEFAULT,
    calls: Calls | None = None,
    uid: str = "",
) -> Steps:
    """``obj`` is decoded and belongs to us; it is changed in place. ``needed`` guards what it lives in.

    ``tracked``: its managedFields are already right (server-side apply computed them). ``calls``: webhooks that may want to see
    it; without any nothing is asked. ``uid``: that it gets, when that is known before.
    """
    strategy = kind.strategy
    metadata = obj["metadata"]
    if kind.namespaced:
        if metadata.setdefault("namespace", namespace) != namespace:
            raise errors.bad_request(OTHER_NAMESPACE)
    else:
        metadata.pop("namespace", None)
    drop_repeated_owners(metadata, options)
    metadata["uid"] = uid or new_uid()
    metadata["creationTimestamp"] = rfc3339()
    sent_version = metadata.pop("resourceVersion", None)
    for owned in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        metadata.pop(owned, None)
    strategy.sign(obj, options.user)
    if strategy.generation_fields is not None:
        metadata.pop("generation", None)
    strategy.default(obj)
    if strategy.status and "status" in obj and "status" in kind.subresources and not options.include_status:
        _reset_status(kind, obj)
    if not tracked and not kind.definition:
        _track(kind, None, obj, options, "")  # what the server fills in from here on belongs to nobody
    mutates = calls is not None and calls.mutates
    if calls is not None and mutates:
        tracked = tracked or not kind.definition or _track_early(kind, None, obj, options, "")
        drop_disabled_fields(kind, obj, None)
        admission.mutate(kind, "CREATE", obj, None, options.user)
        obj = yield from asked_to_create(kind, namespace, obj, options, calls, admission)
        metadata = obj["metadata"]
        if kind.namespaced and metadata.setdefault("namespace", namespace) != namespace:
            raise errors.bad_request(OTHER_NAMESPACE)
        if strategy.status and "status" in obj and "status" in kind.subresources and not options.include_status:
            _reset_status(kind, obj)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generate_name(metadata["generateName"])
    drop_disabled_fields(kind, obj, None)
    if not mutates:
        admission.mutate(kind, "CREATE", obj, None, options.user)
    if strategy.generation_fields is not None:
        metadata["generation"] = 1
    strategy.prepare_for_create(obj)
    found = errors.gathered(lambda: _new_findings(kind, obj))
    if found:
        raise errors.invalid(kind.error_group, kind.kind, metadata.get("name", ""), found)
    if not tracked and kind.definition:
        _track(kind, None, obj, options, "")  # its values are of the right types only now
    extra = allocator.allocate(obj, None) if allocator is not None else NOTHING
    warnings = admission.admit(kind, "CREATE", obj, None, options.user)
    if calls is not None and calls.validates:
        space = namespace if kind.namespaced else ""
        yield question(kind, "CREATE", metadata["name"], space, obj, None, options, calls)
    if options.warnings is not None:
        options.warn([*strategy.warnings(obj), *warnings, *admission.warn(kind, obj, None)])
    if sent_version and not options.dry_run:  # only storage minds, hence the code
        raise errors.StatusError(500, "", "resourceVersion should not be set on objects to be created")
    key = key_of(kind, namespace, metadata["name"])
    _forget_empty_lists(kind, obj)
    body = encode_body((yield from stored(kind, obj)))
    if sent_version:
        body = with_version(body, sent_version)
    return Change(
        (Guard(key, absent=True), *needed, *extra.guards), (Write(key, body, metadata["uid"]), *extra.writes), body
    )


def prepare_update(
    kind: Kind,
    existing: Entry,
    old: Object,
    new: Object,
    options: Options,
    subresource: str = "",
    *,
    tracked: bool = False,
    allocator: ServiceAllocator | None = None,
    admission: Admission = DEFAULT,
    calls: Calls | None = None,
) -> Steps:
    """``old`` and ``new`` are of the served version; ``new`` is changed in place.

    ``tracked``: new's managedFields are already right (server-side apply computed them). ``calls``: webhooks that may want to see
    it; without any nothing is asked.
    """
    strategy = kind.strategy
    mutates = calls is not None and calls.mutates
    if calls is not None and mutates:
        strategy.default(new)
        tracked = tracked or (subresource not in UNTRACKED and _track_early(kind, old, new, options, subresource))
        admission.mutate(kind, "UPDATE", new, old, options.user, subresource)
        new = yield from asked_to_update(kind, old, new, options, subresource, calls, admission)
    metadata, was = new["metadata"], old["metadata"]
    name = was["name"]
    if not metadata.get("uid"):
        metadata["uid"] = was.get("uid", "")
    kept: tuple[str, ...] = ("creationTimestamp", "generation", "selfLink")
    if was.get("deletionTimestamp"):
        kept += ("deletionTimestamp", "deletionGracePeriodSeconds")
    for owned in kept:
        if owned in was:
            metadata[owned] = was[owned]
        else:
            metadata.pop(owned, None)
    metadata.setdefault("name", name)
    drop_repeated_owners(metadata, options)
    if not kind.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", was.get("namespace", "")) != was.get("namespace", ""):
        raise errors.bad_request(OTHER_NAMESPACE)
    view = strategy.views.get(subresource)
    if view is not None:
        strategy.default(new)
        if not tracked:  # what is sent is owned, though only a part of it comes through
            _track(kind, old, new, options, subresource)
            tracked = True
        owners = metadata.get("managedFields")
        view[0](new, old)
        metadata = new["metadata"]
        if owners:
            metadata["managedFields"] = owners
    elif subresource == "status":
        only_status(kind, old, new)
        strategy.prepare_status(new, old)
        metadata = new["metadata"]
    elif subresource in strategy.prepare_subresource:
        strategy.prepare_subresource[subresource](new, old)
    elif keeps_status(kind, options):
        keep(old, new, "status")
    strategy.default(new)
    if not tracked and subresource not in UNTRACKED and not kind.definition:
        _track(kind, old, new, options, subresource)
    drop_disabled_fields(kind, new, old)
    if not mutates:
        admission.mutate(kind, "UPDATE", new, old, options.user, subresource)
    extra = NOTHING
    if subresource not in ("status", "finalize", "approval", *UNTRACKED):
        strategy.prepare_for_update(new, old)
        if allocator is not None:
            extra = allocator.allocate(new, old)
        if strategy.generation_fields is not None and _spec_changed(strategy.generation_fields, old, new):
            metadata["generation"] = was.get("generation", 0) + 1
    found = errors.gathered(lambda: _changed_findings(kind, new, old, subresource, view))
    if found:
        raise errors.invalid(kind.error_group, kind.kind, metadata["name"], found)
    if not tracked and kind.definition:
        _track(kind, old, new, options, subresource)
    warnings = admission.admit(kind, "UPDATE", new, old, options.user, subresource)
    metadata["resourceVersion"] = was["resourceVersion"]
    if calls is not None and calls.validates:
        space = was.get("namespace", "")
        yield question(kind, "UPDATE", name, space, new, old, options, calls, subresource=subresource)
    if options.warnings is not None:
        _warn(kind, old, new, options, subresource, admission)
        options.warn(warnings)
    key = existing.key
    _forget_empty_lists(kind, new)
    managedfields.keep_times_of_no_change(old, new)
    gone = _is_released(kind, metadata, new)
    if not gone and same_object(new, old):
        return Change((), (), existing.body, unchanged=True)
    body = encode_body((yield from stored(kind, new)))
    guard = Guard(key, revision=existing.revision)
    if gone:
        released = allocator.release(old).writes if allocator is not None else ()
        return Change((guard,), (Write(key, None, was["uid"], last=body), *released), body, deleted=True)
    terminating = bool(metadata.get("deletionTimestamp"))
    write = Write(key, body, was["uid"], terminating=terminating)
    return Change((guard, *extra.guards), (write, *extra.writes), body)


def _warn(kind: Kind, old: Object, new: Object, options: Options, subresource: str, admission: Admission) -> None:
    strategy = kind.strategy
    changed = strategy.generation_fields is None or new["metadata"].get("generation") != old["metadata"].get(
        "generation"
    )
    if strategy.update_warnings is not None:
        options.warn(strategy.update_warnings(new, old) if subresource != "status" else ())
    elif not subresource and changed:
        options.warn(strategy.warnings(new))
    if not subresource and (changed or admission.is_changed_by_annotations(kind, new, old)):
        options.warn(admission.warn(kind, new, old))


def _new_findings(kind: Kind, obj: Object) -> list[errors.FieldError]:
    strategy, metadata = kind.strategy, obj["metadata"]
    found = validate_object_meta(obj, kind.namespaced, strategy.name_rule or dns1123_subdomain)
    if strategy.validate_new is not None:
        found.extend(strategy.validate_new(obj))
    else:
        found.extend(strategy.validate(obj))
        found.extend(strategy.validate_create(obj))
    if "\0" in metadata.get("name", ""):  # PostgreSQL has no such text
        found.append(errors.FieldError.invalid("metadata.name", metadata["name"], "must not contain NUL"))
    return found


def _changed_findings(kind: Kind, new: Object, old: Object, subresource: str, view: Any) -> list[errors.FieldError]:
    strategy = kind.strategy
    return [
        *_metadata_findings(kind, new, old),
        *_findings(strategy, new, old, subresource, view),
        *strategy.validate_write(new, old, subresource),
    ]


def _metadata_findings(kind: Kind, new: Object, old: Object) -> list[errors.FieldError]:
    """What is wrong with metadata: asked for all kinds in two ways and again by most of them, so causes come repeatedly."""
    strategy = kind.strategy
    checks = {
        "new": validate_object_meta(new, kind.namespaced, strategy.name_rule or dns1123_subdomain),
        "update": validate_object_meta_update(new, old),
    }
    return [finding for check in ("new", "update", *strategy.metadata_checks) for finding in checks[check]]


def _findings(strategy: Strategy, new: Object, old: Object, subresource: str, view: Any) -> list[errors.FieldError]:
    if subresource == "status" and strategy.validate_status is not None:
        return strategy.validate_status(new, old)
    if strategy.validate_changed is not None and view is None:
        return strategy.validate_changed(new, old)
    found = strategy.validate(new)
    if view is not None:
        return [*found, *view[1](new, old)]
    if subresource in UNTRACKED:  # may set what nobody else may change
        return found
    return found + strategy.validate_update(new, old)


def _forget_empty_lists(kind: Kind, obj: Object) -> None:
    """Of a built-in kind's empty list that Go always writes null is left, as after a round trip through protobuf."""
    if not kind.custom and not kind.strategy.keeps_empty_lists:
        empty_lists.forget(kind.schema, obj)


def drop_disabled_fields(kind: Kind, new: Object, old: Object | None) -> None:
    """Drops fields whose feature is off; a writer owns them all the same."""
    for path in kind.strategy.disabled:
        if old is None or nested(old, *path) is None:
            remove_nested(new, *path)


def prepare_removal(existing: Entry, old: Object, allocator: ServiceAllocator | None) -> Change:
    """Takes the object out of the store, with what was allocated to it; its last state is the one it has."""
    last = encode_body(existing.decode())
    guard = Guard(existing.key, revision=existing.revision)
    released = allocator.release(old).writes if allocator is not None else ()
    return Change((guard,), (Write(existing.key, None, existing.meta.uid, last=last), *released), last, deleted=True)


def _is_released(kind: Kind, metadata: Object, obj: Object) -> bool:
    """Whether an object that is being deleted is held by nothing any more."""
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if metadata.get("deletionGracePeriodSeconds"):
        return False
    return not kind.strategy.is_held(obj)


def _track(kind: Kind, old: Object | None, new: Object, options: Options, subresource: str) -> None:
    path = replicas_path(kind) if subresource == "scale" else []
    if path and not _has_owner(old, [f"f:{step}" for step in path]):
        return  # Kubernetes does not begin to track what was tracked for nobody
    try:
        fields = managedfields.update(
            old,
            new,
            manager=options.manager,
            operation="Update",
            api_version=kind.api_version,
            subresource=subresource,
            time=rfc3339(),
            schema=kind.schema,
            reset=reset_fields(kind, subresource),
        )
        if subresource == "scale" and not nested(new, *path):
            fields = [kept for entry in fields if (kept := managedfields.without(entry, path))]  # Go leaves zero out
    except ElementError:  # such an object cannot be tracked; only an apply is refused for that
        fields = []
    if fields:
        new["metadata"]["managedFields"] = fields
    else:
        new["metadata"].pop("managedFields", None)


def _track_early(kind: Kind, old: Object | None, new: Object, options: Options, subresource: str) -> bool:
    """What webhooks put in belongs to nobody, so that owners are noted before they are asked. Returns whether they are.

    The values of a custom object may be of the wrong types here: then it will be refused, or is tracked later.
    """
    try:
        seen = coming_through(kind, old, new, options, subresource)
        _track(kind, old, seen, options, subresource)
    except (TypeError, AttributeError, KeyError, ValueError):
        if not kind.definition:
            raise
        return False
    keep(seen["metadata"], new["metadata"], "managedFields")
    return True


def _has_owner(obj: Object | None, path: list[str]) -> bool:
    entries = ((obj or {}).get("metadata") or {}).get("managedFields") or ()
    return any(nested(entry.get("fieldsV1"), *path) is not None for entry in entries)


def _reset_status(kind: Kind, obj: Object) -> None:
    zero = kind.schema.always.get("status")
    if zero is None:
        del obj["status"]
    else:
        obj["status"] = dict(zero)


def _spec_changed(fields: tuple[str, ...], old: Object, new: Object) -> bool:
    """``fields`` names what counts; a leading "*" means everything but metadata and status (custom resources)."""
    if fields[:1] == ("*",):
        names = (set(old) | set(new)) - {"metadata", "status", "kind", "apiVersion"} | set(fields[1:])
        return any(old.get(n) != new.get(n) for n in names)
    return any(old.get(n) != new.get(n) for n in fields)
