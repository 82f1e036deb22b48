"""Lists: which objects, as of which revision, in which pages (k8s.io/apiserver/pkg/storage semantics)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kafila.catalog.builtin.selectable import unknown_field
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.selectors import FieldRequirement, Selector
from kafila.store.interface import EVENTS, Compacted, EventQuery, StoreUnavailable
from kafila.watch import Cache, Entry
from kafila.watch.resource import path_of

from . import events
from .codec import decode_entry
from .continuation import decode_token, encode_token, expired_token

Matches = Callable[[Entry], bool]


class ListOptions(NamedTuple):
    namespace: str = ""
    labels: Selector | None = None
    fields: tuple[FieldRequirement, ...] = ()
    limit: int = 0
    token: str = ""  # "continue"
    resource_version: str = ""
    match: str = ""  # resourceVersionMatch
    send_initial: bool = False  # sendInitialEvents was given: only watches may


class Page(NamedTuple):
    entries: list[Entry]
    revision: int
    token: str = ""
    remaining: int | None = None


def matcher(kind: Kind, options: ListOptions) -> Matches | None:
    """A predicate on entries for the selectors, None when everything matches. Raises StatusError 400."""
    tests: list[Matches] = []
    if options.labels is not None and not options.labels.empty:
        selects = options.labels.matches
        tests.append(lambda entry: selects(entry.meta.labels or {}))
    for requirement in options.fields:
        tests.append(_field_test(kind, requirement))
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda entry: all(test(entry) for test in tests)


def _field_test(kind: Kind, requirement: FieldRequirement) -> Matches:
    field, holds = requirement.field, requirement.holds
    if field == "metadata.name":
        return lambda entry: holds(entry.key.name)
    if field == "metadata.namespace":
        return lambda entry: holds(entry.key.namespace)
    getter = kind.selectable_fields.get(field)
    if getter is None:
        raise errors.bad_request(unknown_field(kind, field))
    return lambda entry: holds(getter(decode_entry(kind, entry)))


async def list_page(cache: Cache, kind: Kind, options: ListOptions) -> Page:
    """Raises StatusError: 400 for a bad token, 410 for a revision that is gone, 422 for a bad match, 503, 504."""
    check_match(options)
    matches = matcher(kind, options)
    if kind.resource == EVENTS:
        return await _list_events(cache, options, matches)
    after: str | None = None
    if options.token:
        if options.resource_version not in ("", "0"):
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        revision, after = decode_token(options.token)
        if revision < 0:
            await cache.wait_for_consistent_read()
            source: Iterable[Entry] = cache.resource(kind.resource).entries(options.namespace, after)
            revision = cache.revision
        else:
            source = await _at(cache, kind, revision, options.namespace, after)
    else:
        exact = options.match == "Exact" or (
            not options.match and options.limit and options.resource_version not in ("", "0")
        )
        if exact:
            revision = parse_resource_version(options.resource_version)
            await wait_for(cache, revision)
            source = await _at(cache, kind, revision, options.namespace, None)
        else:
            if not options.resource_version:
                await cache.wait_for_consistent_read()
            elif options.resource_version != "0":
                await wait_for(cache, parse_resource_version(options.resource_version))
            revision = cache.revision
            source = cache.resource(kind.resource).entries(options.namespace)
    limit = options.limit if options.resource_version != "0" or options.token else 0
    return _page(source, matches, limit, revision)


async def _list_events(cache: Cache, options: ListOptions, matches: Matches | None) -> Page:
    revision, after = 0, None
    if options.token:
        if options.resource_version not in ("", "0"):
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        revision, path = decode_token(options.token)
        revision, after = max(revision, 0), (path.rpartition("/")[0], path.rpartition("/")[2])
    elif options.resource_version not in ("", "0"):
        wanted = parse_resource_version(options.resource_version)
        await wait_for(cache, wanted)
        if options.match == "Exact" or (not options.match and options.limit):
            revision = wanted
    limit = options.limit if options.resource_version != "0" or options.token else 0
    asked = EventQuery(revision, options.namespace, after, containing=events.containing(options.fields))
    entries, revision, remaining = await events.selected(cache.store, asked, matches, limit)
    if not remaining:
        return Page(entries, revision)
    key = entries[-1].key
    return Page(entries, revision, encode_token(revision, path_of(*key[1:])), remaining if matches is None else None)


def _page(source: Iterable[Entry], matches: Matches | None, limit: int, revision: int) -> Page:
    if not limit:
        entries = list(source) if matches is None else [e for e in source if matches(e)]
        return Page(entries, revision)
    entries, rest = [], 0
    for entry in source:
        if len(entries) < limit:
            if matches is None or matches(entry):
                entries.append(entry)
        else:  # more to look at means more to ask for, whether it is selected or not, as in Kubernetes
            rest += 1
            if matches is not None:
                break
    if not rest:
        return Page(entries, revision)
    key = entries[-1].key
    token = encode_token(revision, path_of(key.namespace, key.name))
    return Page(entries, revision, token, rest if matches is None else None)


async def _at(cache: Cache, kind: Kind, revision: int, namespace: str, after: str | None) -> Iterable[Entry]:
    objects = cache.resource(kind.resource).at(revision)
    if objects is None:
        try:
            stored = await cache.store.list_at(kind.resource, revision)
        except Compacted as gone:
            if after is None:
                raise errors.expired("The resourceVersion for the provided list is too old.") from gone
            raise expired_token(after) from gone
        except StoreUnavailable as error:
            raise errors.service_unavailable(f"storage is not reachable: {error}") from error
        pairs = ((path_of(o.key.namespace, o.key.name), o) for o in stored)
        found = [Entry(o.key, o.revision, o.body) for path, o in pairs if after is None or path > after]
        return [e for e in found if not namespace or e.key.namespace == namespace]
    low = after if after is not None else (f"{namespace}/" if namespace else None)
    high = f"{namespace}0" if namespace else None
    return [objects[path] for path in objects.irange(low, high, (after is None, False))]


def check_match(options: ListOptions) -> None:
    """resourceVersionMatch is only allowed where it means something (internalversion/validation)."""
    field, name = "resourceVersionMatch", options.match
    found: list[errors.FieldError] = []
    if name and not options.resource_version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        found.append(errors.FieldError.forbidden(field, why))
    if name and options.token:
        found.append(errors.FieldError.forbidden(field, "resourceVersionMatch is forbidden when continue is provided"))
    if name not in ("", "Exact", "NotOlderThan"):
        found.append(errors.FieldError.not_supported(field, name, ("Exact", "NotOlderThan", "")))
    if name == "Exact" and options.resource_version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        found.append(errors.FieldError.forbidden(field, why))
    if options.send_initial:
        found.append(errors.FieldError.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if found:
        raise errors.invalid("meta.k8s.io", "ListOptions", "", found)


def parse_resource_version(text: str) -> int:
    """Raises StatusError 400."""
    if not _is_number(text):
        found = errors.FieldError.invalid("resourceVersion", text, _no_number(text))
        raise errors.bad_request(f"invalid resource version: {found}")
    return int(text)


def check_version(text: str) -> None:
    """That the resourceVersion in a written object is a number. Raises StatusError 500, as kube-apiserver does."""
    if text and not _is_number(text):
        raise errors.StatusError(500, "", _no_number(text))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _no_number(text: str) -> str:
    return f'strconv.ParseUint: parsing "{text}": invalid syntax'


async def current(cache: Cache, kind: Kind, namespace: str) -> tuple[list[Entry], int]:
    """All objects of a kind, of one namespace when given, and the revision they are at. Raises StatusError 503."""
    if kind.resource == EVENTS:
        entries, revision, _ = await events.selected(cache.store, EventQuery(namespace=namespace), None, 0)
        return entries, revision
    return list(cache.resource(kind.resource).entries(namespace)), cache.revision


async def wait_for(cache: Cache, revision: int) -> None:
    """Until the cache is at least at ``revision``; what lies in the future is answered 504."""
    if revision <= cache.revision:
        return
    await cache.wait_for_consistent_read()
    if revision > cache.revision:
        raise errors.too_large_resource_version(revision, cache.revision)
