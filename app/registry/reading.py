"""Lists: which objects, as of which revision, in which pages (k8s.io/apiserver/pkg/storage semantics)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import NamedTuple

from app.catalog.kind import Kind
from app.core import errors
from app.core.selectors import FieldRequirement, Selector
from app.store.interface import Compacted, StoreUnavailable
from app.watch import Cache, Entry
from app.watch.cache import path_of

from .codec import decode_entry

Matches = Callable[[Entry], bool]
EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


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
        if kind.custom or kind.selectable_fields:
            raise errors.bad_request(f"field label not supported: {field}")
        known = '"metadata.name", "metadata.namespace"' if kind.namespaced else '"metadata.name"'
        raise errors.bad_request(f'"{field}" is not a known field selector: only {known}')
    return lambda entry: holds(getter(decode_entry(kind, entry)))


async def list_page(cache: Cache, kind: Kind, options: ListOptions) -> Page:
    """Raises StatusError: 400 for a bad token, 410 for a revision that is gone, 422 for a bad match, 503, 504."""
    check_match(options)
    matches = matcher(kind, options)
    after: str | None = None
    if options.token:
        if options.resource_version not in ("", "0"):
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        revision, after = decode_token(options.token)
        if revision < 0:
            await cache.barrier()
            source: Iterable[Entry] = cache.resource(kind.resource).entries(options.namespace, after)
            revision = cache.revision
        else:
            source = await _at(cache, kind, revision, options.namespace, after)
    else:
        exact = options.match == "Exact" or (
            not options.match and options.limit and options.resource_version not in ("", "0")
        )
        if exact:
            revision = _number(options.resource_version)
            await wait_for(cache, revision)
            source = await _at(cache, kind, revision, options.namespace, None)
        else:
            if not options.resource_version:
                await cache.barrier()
            elif options.resource_version != "0":
                await wait_for(cache, _number(options.resource_version))
            revision = cache.revision
            source = cache.resource(kind.resource).entries(options.namespace)
    limit = options.limit if options.resource_version != "0" or options.token else 0
    return _page(source, matches, limit, revision)


def _page(source: Iterable[Entry], matches: Matches | None, limit: int, revision: int) -> Page:
    if not limit:
        entries = list(source) if matches is None else [e for e in source if matches(e)]
        return Page(entries, revision)
    entries, rest = [], 0
    for entry in source:
        if len(entries) < limit:
            if matches is None or matches(entry):
                entries.append(entry)
        elif matches is None:
            rest += 1
        elif matches(entry):
            rest = 1
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
    if options.send_initial:
        found = [errors.FieldError.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")]
        raise errors.invalid("meta.k8s.io", "ListOptions", "", found)
    if not options.match:
        return
    field, name = "resourceVersionMatch", options.match
    if options.token:
        why = "resourceVersionMatch is forbidden when continue is provided"
    elif not options.resource_version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif name not in ("Exact", "NotOlderThan"):
        found = [errors.FieldError.not_supported(field, name, ("Exact", "NotOlderThan", ""))]
        raise errors.invalid("meta.k8s.io", "ListOptions", "", found)
    elif name == "Exact" and options.resource_version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    else:
        return
    raise errors.invalid("meta.k8s.io", "ListOptions", "", [errors.FieldError.forbidden(field, why)])


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        found = errors.FieldError.invalid(
            "resourceVersion", text, 'strconv.ParseUint: parsing "' + text + '": invalid syntax'
        )
        raise errors.bad_request(f"invalid resource version: {found}")
    return int(text)


parse_resource_version = _number


async def wait_for(cache: Cache, revision: int) -> None:
    """Until the cache is at least at ``revision``; what lies in the future is answered 504."""
    if revision <= cache.revision:
        return
    await cache.barrier()
    if revision > cache.revision:
        raise errors.too_large_resource_version(revision, cache.revision)


def encode_token(revision: int, last_path: str) -> str:
    token = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": last_path + "\x00"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def decode_token(token: str) -> tuple[int, str]:
    """Revision (-1: the newest) and the path of the last object that was sent."""
    try:
        raw = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        revision, start = int(raw["rv"]), str(raw["start"])
    except (ValueError, KeyError, TypeError) as error:
        raise errors.bad_request(f"invalid continue token: continue key is not valid: {error}") from error
    return revision, start.removesuffix("\x00")


def expired_token(after: str) -> errors.StatusError:
    """410 that carries a token to go on with, inconsistently."""
    error = errors.expired(EXPIRED_CONTINUE)
    error.metadata = {"continue": encode_token(-1, after)}
    return error
