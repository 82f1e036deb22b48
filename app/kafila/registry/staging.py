"""What a write would be: from a decoded object and what is stored to a :class:`Change`. Nothing is committed here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import final

from kafila.admission import Admission
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.names import new_uid
from kafila.core.values import Object, copy_json
from kafila.store.interface import Guard, Write
from kafila.watch import Cache, Entry

from .admitting import Admitting
from .allocation import ServiceAllocator
from .asking import Calls, Question, Steps, ToStore, advanced, asked_to_delete, finished, question, stored
from .codec import decode_entry, encode_body
from .context import Change, DeleteOptions, Options
from .deleting import mark_at_once, mark_deleted
from .guards import check_preconditions
from .prepare import prepare_create, prepare_removal, prepare_update
from .threads import BIG, in_thread, on_loop


@final
class Staging:
    """All of its methods raise StatusError."""

    def __init__(
        self, cache: Cache, admission: Admission, service_cidr: str, admitting: Admitting | None = None
    ) -> None:
        """``admitting``: asks webhooks; None: none is asked."""
        self.admission = admission
        self._admitting = admitting
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
        asks: bool = True,
        uid: str = "",
    ) -> Steps:
        """``obj`` is decoded and ours. ``guards``: of what it lives in. ``tracked``: its managedFields are already right.
        ``asks``: whether webhooks are asked. ``uid``: that it gets, when that is known before.
        """
        return prepare_create(
            kind,
            namespace,
            obj,
            options,
            guards,
            self._allocators.get(kind.resource),
            tracked=tracked,
            admission=self.admission,
            calls=self._calls(kind, "CREATE") if asks else None,
            uid=uid,
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
        asks: bool = True,
    ) -> Steps:
        """``old`` is what ``existing`` decodes to; ``new`` is changed in place. ``asks``: whether webhooks are asked."""
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
            calls=self._calls(kind, "UPDATE", subresource) if asks and not options.admitted else None,
        )

    def delete(self, kind: Kind, existing: Entry, options: DeleteOptions, *, asks: bool = True) -> Steps:
        """The deletion of the object at ``existing``'s revision, or its deletionTimestamp where something holds the object."""
        name = existing.key.name
        check_preconditions(kind, existing, options)
        if name in kind.strategy.undeletable:
            raise errors.forbidden(kind.group, kind.plural, name, f"this {kind.singular} may not be deleted")
        old = decode_entry(kind, existing)
        self.admission.admit(kind, "DELETE", None, old, options.user)
        calls = self._calls(kind, "DELETE") if asks and not options.admitted else None
        if calls is not None:
            yield from asked_to_delete(kind, existing.key.namespace, name, old, options, calls)
        last = mark_deleted(kind, old, options, rfc3339())
        if last is None:
            gone = prepare_removal(existing, old, self._allocators.get(kind.resource))
            if not kind.strategy.graceful:
                return gone
            return gone._replace(body=encode_body((yield from stored(kind, mark_at_once(old, rfc3339())))))
        if last is old:  # already on its way
            return Change((), (), b"", unchanged=True)
        body = encode_body((yield from stored(kind, last)))
        guard = Guard(existing.key, revision=existing.revision)
        return Change((guard,), (Write(existing.key, body, existing.meta.uid, terminating=True),), body)

    def _calls(self, kind: Kind, operation: str, subresource: str = "") -> Calls | None:
        admitting = self._admitting
        if admitting is None:
            return None
        # a preparation in a thread asks the event loop: what is stored may change meanwhile, and what is found is remembered
        return on_loop(lambda: None if admitting.idle else admitting.calls(kind, subresource, operation))

    def asks(self, kind: Kind, subresource: str, operation: str) -> bool:
        """Whether a webhook may want to see such a request."""
        return self._calls(kind, operation, subresource) is not None

    async def admitted(
        self,
        kind: Kind,
        subresource: str,
        operation: str,
        name: str,
        namespace: str,
        obj: Object,
        options: Options | DeleteOptions,
    ) -> Object:
        """``obj``, which is not stored by itself, as webhooks have left it. Raises StatusError."""
        calls = self._calls(kind, operation, subresource)
        if calls is None:
            return obj
        for mutating, wanted in ((True, calls.mutates), (False, calls.validates)):
            if wanted:
                assert self._admitting is not None
                about = question(
                    kind,
                    operation,
                    name,
                    namespace,
                    obj,
                    None,
                    options,
                    calls,
                    subresource=subresource,
                    mutating=mutating,
                    settle=_as_it_is,
                )
                obj = await self._admitting.answered(about, 0) or obj
        return obj

    async def carried_out(self, size: int, begin: Callable[[], Steps]) -> Change:
        """The outcome of a preparation: it works on about ``size`` bytes, and what it asks is asked between its steps."""

        if size < BIG:
            steps = begin()
            found = advanced(steps, None)
        else:
            steps, found = await in_thread(size, lambda: _begun(begin))
        while not isinstance(found, Change):
            answer = await self._answer(found, size)
            if size < BIG:
                found = advanced(steps, answer)
            else:
                found = await in_thread(size, partial(advanced, steps, answer))
        return found

    async def _answer(self, asked: Question | ToStore, size: int) -> Object | None:
        if isinstance(asked, ToStore):
            assert asked.kind.converter is not None
            return await asked.kind.converter.stored(asked.kind, asked.obj)
        assert self._admitting is not None
        return await self._admitting.answered(asked, size)

    # -- to be committed together with others --------------------------------------------------------------------------
    # What it would be without webhooks, at once; where one may want to see it, ``Change.admit`` asks before the commit.

    def created_with_others(
        self,
        kind: Kind,
        namespace: str,
        obj: Object,
        options: Options,
        guards: tuple[Guard, ...],
        *,
        tracked: bool = False,
    ) -> Change:
        create = partial(self.create, kind, namespace)
        if self._calls(kind, "CREATE") is None:
            return finished(create(obj, options, guards, tracked=tracked, asks=False))
        pristine, uid = copy_json(obj), new_uid()
        change = finished(create(obj, options, guards, tracked=tracked, asks=False, uid=uid))
        again = partial(create, pristine, options, guards, tracked=tracked, uid=uid)
        return change._replace(admit=partial(self.carried_out, len(change.body), again))

    def updated_with_others(
        self, kind: Kind, existing: Entry, new: Object, options: Options, subresource: str = ""
    ) -> Change:
        update = partial(self.update, kind, existing)
        if self._calls(kind, "UPDATE", subresource) is None:
            return finished(update(decode_entry(kind, existing), new, options, subresource, asks=False))
        pristine = copy_json(new)
        change = finished(update(decode_entry(kind, existing), new, options, subresource, asks=False))
        if change.unchanged:
            return change
        again = partial(update, decode_entry(kind, existing), pristine, options, subresource)
        return change._replace(admit=partial(self.carried_out, len(change.body), again))

    def deleted_with_others(self, kind: Kind, existing: Entry, options: DeleteOptions) -> Change:
        change = finished(self.delete(kind, existing, options, asks=False))
        if change.unchanged or self._calls(kind, "DELETE") is None:
            return change
        again = partial(self.delete, kind, existing, options)
        return change._replace(admit=partial(self.carried_out, len(existing.body), again))


def _as_it_is(document: Object, *, strict: bool = False, was: Object | None = None, decoded: bool = False) -> Object:
    return document


def _begun(begin: Callable[[], Steps]) -> tuple[Steps, Question | ToStore | Change]:
    steps = begin()
    return steps, advanced(steps, None)


async def admitted_each(staged: Sequence[tuple[str, Change]]) -> list[tuple[str, Change | errors.StatusError]]:
    """Under its name what webhooks have made of each change, or why it is refused. All are asked at once."""
    waiting = [change.admit() for _, change in staged if change.admit is not None]
    if not waiting:
        return list(staged)
    found = iter(await asyncio.gather(*waiting, return_exceptions=True))
    out: list[tuple[str, Change | errors.StatusError]] = []
    for name, change in staged:
        outcome = change if change.admit is None else next(found)
        if isinstance(outcome, errors.StatusError):
            outcome.refused = change.writes[0].key
        elif isinstance(outcome, BaseException):
            raise outcome
        out.append((name, outcome))
    return out


async def admitted(changes: Sequence[Change]) -> Sequence[Change]:
    """What webhooks have made of them. Raises the StatusError of the first that is refused."""
    out: list[Change] = []
    for _, outcome in await admitted_each([("", change) for change in changes]):
        if isinstance(outcome, errors.StatusError):
            raise outcome
        out.append(outcome)
    return out
