"""What must exist for an object to be created (its namespace, and of a custom object the definition of its kind), and what a
DELETE asks the object to be."""

from __future__ import annotations

from kafila.catalog.custom.definition import RESOURCE as DEFINITIONS
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.resources import Key
from kafila.store.interface import Guard, GuardFailed
from kafila.watch import Cache, Entry

from .context import DeleteOptions

NAMESPACES = "namespaces"


async def creation_guards(cache: Cache, kind: Kind, namespace: str, name: str) -> tuple[Guard, ...]:
    """Held by the commit, so that nothing is created in what ends meanwhile. Raises StatusError 403, 404."""
    guards = []
    if kind.definition:
        if kind.terminating:
            raise definition_terminating(kind, name)
        guards.append(Guard(Key(DEFINITIONS, "", kind.definition), alive=True))
    if kind.namespaced:
        entry = cache.get(NAMESPACES, "", namespace)
        if entry is None or entry.meta.deletionTimestamp:
            await cache.wait_for_consistent_read()
            entry = cache.get(NAMESPACES, "", namespace)
        if entry is None:
            raise errors.not_found("", NAMESPACES, namespace)
        if entry.meta.deletionTimestamp:
            raise namespace_terminating(kind, namespace, name)
        guards.append(Guard(Key(NAMESPACES, "", namespace), alive=True))
    return tuple(guards)


def staged_guards(kind: Kind, namespace: str) -> tuple[Guard, ...]:
    """The same for a creation that is committed together with others: a guard that fails says no more than that."""
    guards = [Guard(Key(DEFINITIONS, "", kind.definition), alive=True)] if kind.definition else []
    return (*guards, Guard(Key(NAMESPACES, "", namespace), alive=True)) if kind.namespaced else tuple(guards)


def refused(kind: Kind, failed: GuardFailed, namespace: str, name: str) -> errors.StatusError:
    """The answer when what an object needs is not there or ends."""
    if failed.guard.key.resource == DEFINITIONS:
        return definition_terminating(kind, name) if failed.revision else errors.page_not_found()
    if failed.revision:
        return namespace_terminating(kind, namespace, name)
    return errors.not_found("", NAMESPACES, namespace)


def definition_terminating(kind: Kind, name: str) -> errors.StatusError:
    why = "create not allowed while custom resource definition is terminating"
    return errors.forbidden(kind.group, kind.plural, name, why)


def namespace_terminating(kind: Kind, namespace: str, name: str) -> errors.StatusError:
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = errors.forbidden(kind.group, kind.plural, name, why)
    assert error.details is not None
    error.details["causes"] = [
        {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
    ]
    return error


def check_preconditions(kind: Kind, existing: Entry, options: DeleteOptions) -> None:
    if kind.strategy.deletes_like_a_write:
        _check_like_a_write(kind, existing, options)
    if options.uid and options.uid != existing.meta.uid:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({existing.meta.uid}). "
            "The object might have been deleted and then recreated"
        )
    elif options.resource_version and options.resource_version != str(existing.revision):
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion "
            f"in record ({existing.revision}). The object might have been modified"
        )
    else:
        return
    raise errors.conflict(kind.error_group, kind.kind, existing.key.name, why)


def _check_like_a_write(kind: Kind, existing: Entry, options: DeleteOptions) -> None:
    wanted = (("UID", options.uid, existing.meta.uid), ("ResourceVersion", options.resource_version, existing.revision))
    for what, asked, has in wanted:
        if asked and asked != str(has):
            why = f"Precondition failed: {what} in precondition: {asked}, {what} in object meta: {has}"
            raise errors.conflict(kind.group, kind.plural, existing.key.name, why)
