"""What a write would be: from a decoded object and what is stored to a :class:`Change`. Nothing is committed here."""

from __future__ import annotations

from typing import final

from kafila.admission import Admission
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.values import Object
from kafila.store.interface import Guard, Write
from kafila.watch import Cache, Entry

from .allocation import ServiceAllocator
from .codec import decode_entry, encode_body, stored_form
from .context import Change, DeleteOptions, Options
from .deleting import mark_at_once, mark_deleted
from .guards import check_preconditions
from .prepare import prepare_create, prepare_removal, prepare_update


@final
class Staging:
    """All of its methods raise StatusError."""

    def __init__(self, cache: Cache, admission: Admission, service_cidr: str) -> None:
        self.admission = admission
        self._allocators = {"services": ServiceAllocator(cache, service_cidr)}

    def allocates(self, kind: Kind) -> bool:
        """Whether addresses or ports are found for an object: such a change is computed again when somebody else took them."""
        return self._allocators.get(kind.resource) is not None

    def create(
        self,
        kind: Kind,
        namespace: str,
        obj: Object,
        options: Options,
        guards: tuple[Guard, ...],
        *,
        tracked: bool = False,
    ) -> Change:
        """``obj`` is decoded and ours. ``guards``: of what it lives in. ``tracked``: its managedFields are already right."""
        allocator = self._allocators.get(kind.resource)
        return prepare_create(
            kind, namespace, obj, options, guards, allocator, tracked=tracked, admission=self.admission
        )

    def update(
        self,
        kind: Kind,
        existing: Entry,
        old: Object,
        new: Object,
        options: Options,
        subresource: str = "",
        *,
        tracked: bool = False,
    ) -> Change:
        """``old`` is what ``existing`` decodes to; ``new`` is changed in place."""
        return prepare_update(
            kind,
            existing,
            old,
            new,
            options,
            subresource,
            tracked=tracked,
            allocator=self._allocators.get(kind.resource),
            admission=self.admission,
        )

    def delete(self, kind: Kind, existing: Entry, options: DeleteOptions) -> Change:
        """The deletion of the object at ``existing``'s revision, or its deletionTimestamp where something holds the object."""
        name = existing.key.name
        check_preconditions(kind, existing, options)
        if name in kind.strategy.undeletable:
            raise errors.forbidden(kind.group, kind.plural, name, f"this {kind.singular} may not be deleted")
        old = decode_entry(kind, existing)
        self.admission.admit(kind, "DELETE", None, old, options.user)
        last = mark_deleted(kind, old, options, rfc3339())
        if last is None:
            gone = prepare_removal(existing, old, self._allocators.get(kind.resource))
            if not kind.strategy.graceful:
                return gone
            return gone._replace(body=encode_body(stored_form(kind, mark_at_once(old, rfc3339()))))
        if last is old:  # already on its way
            return Change((), (), b"", unchanged=True)
        body = encode_body(stored_form(kind, last))
        guard = Guard(existing.key, revision=existing.revision)
        return Change((guard,), (Write(existing.key, body, existing.meta.uid, terminating=True),), body)
