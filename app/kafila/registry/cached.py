"""Objects that the watch cache has: all but Events. Lists have k8s.io/apiserver/pkg/storage's semantics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import final

from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.resources import Key
from kafila.store.interface import Compacted, StoreUnavailable
from kafila.watch import Cache, Entry
from kafila.watch.resource import path_of

from .continuation import decode_token, encode_token, expired_list
from .reading import (
    ListOptions,
    Matches,
    Page,
    check_match,
    check_no_version,
    limit_of,
    matcher,
    parse_resource_version,
    wait_for,
)
from .unreadable import absent, check_listed, check_read


@final
class CachedStorage:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def entry(self, kind: Kind, namespace: str, name: str) -> Entry:
        """Raises StatusError 404, 500."""
        found = self._cache.get(kind.resource, namespace if kind.namespaced else "", name)
        if found is None:
            raise absent(self._cache, Key(kind.resource, namespace if kind.namespaced else "", name), kind)
        return found

    async def find(self, key: Key) -> Entry | None:
        return self._cache.get(*key)

    async def read(self, kind: Kind, namespace: str, name: str) -> Entry:
        return self.entry(kind, namespace, name)

    async def newest(self, kind: Kind, namespace: str, name: str) -> Entry:
        found = self._cache.get(kind.resource, namespace if kind.namespaced else "", name)
        if found is not None:
            return found
        await self._cache.wait_for_consistent_read()
        return self.entry(kind, namespace, name)

    async def list_page(self, kind: Kind, options: ListOptions) -> Page:
        cache = self._cache
        check_match(options)
        matches = matcher(kind, options)
        after: str | None = None
        if options.token:
            check_no_version(options)
            revision, after = decode_token(options.token)
            if revision < 0:
                await cache.wait_for_consistent_read()
                source: Iterable[Entry] = cache.resource(kind.resource).entries(options.namespace, after)
                revision = cache.revision
            else:
                source = await self._at(kind, revision, options.namespace, after)
        elif options.is_exact:
            revision = parse_resource_version(options.resource_version)
            await wait_for(cache, revision)
            source = await self._at(kind, revision, options.namespace, None)
        else:
            if not options.resource_version:
                await cache.wait_for_consistent_read()
            elif options.resource_version != "0":
                await wait_for(cache, parse_resource_version(options.resource_version))
            revision = cache.revision
            source = cache.resource(kind.resource).entries(options.namespace)
        check_listed(cache, kind.resource, options.namespace)
        return _page(source, matches, limit_of(options), revision)

    async def _at(self, kind: Kind, revision: int, namespace: str, after: str | None) -> Iterable[Entry]:
        objects = self._cache.resource(kind.resource).at(revision)
        if objects is None:
            try:
                stored = await self._cache.store.list_at(kind.resource, revision)
            except Compacted as gone:
                raise expired_list(after) from gone
            except StoreUnavailable as error:
                raise errors.storage_unreachable(error) from error
            for each in stored:
                check_read(each.key, each.body)
            pairs = ((path_of(o.key.namespace, o.key.name), o) for o in stored)
            found = [Entry(o.key, o.revision, o.body) for path, o in pairs if after is None or path > after]
            return [e for e in found if not namespace or e.key.namespace == namespace]
        low = after if after is not None else (f"{namespace}/" if namespace else None)
        high = f"{namespace}0" if namespace else None
        return [objects[path] for path in objects.irange(low, high, (after is None, False))]

    async def all(self, kind: Kind, namespace: str) -> tuple[list[Entry], int]:
        check_listed(self._cache, kind.resource, namespace)
        return list(self._cache.resource(kind.resource).entries(namespace)), self._cache.revision

    async def chunks(self, kind: Kind, namespace: str, size: int) -> AsyncIterator[list[Entry]]:
        """All at once: they are in memory already."""
        yield (await self.all(kind, namespace))[0]

    async def some(self, kind: Kind, namespace: str) -> tuple[list[Entry], int]:
        entries, _ = await self.all(kind, namespace)
        return entries, len(entries)


def _page(source: Iterable[Entry], matches: Matches | None, limit: int, revision: int) -> Page:
    if not limit:
        entries = list(source) if matches is None else [e for e in source if matches(e)]
        return Page(entries, revision)
    entries, rest = [], 0
    for entry in source:
        if len(entries) < limit:
            if matches is None or matches(entry):
                entries.append(entry)
        else:  # more to go through means more to ask for, whether it is selected or not, as in Kubernetes
            rest += 1
            if matches is not None:
                break
    if not rest:
        return Page(entries, revision)
    key = entries[-1].key
    token = encode_token(revision, path_of(key.namespace, key.name))
    return Page(entries, revision, token, rest if matches is None else None)
