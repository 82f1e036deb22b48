"""search.karmada.io beside its stored objects: ``search/cache/PATH`` and ``proxying/NAME/proxy/PATH``."""

from __future__ import annotations

import asyncio
from typing import Final, final

import orjson
from prometheus_client import Counter

from kafila.core import errors, selectors
from kafila.core.errors import StatusError
from kafila.registry import Registry
from kafila.registry.reading import ListOptions
from kafila.search.feed import Feed
from kafila.search.rights import MemberRights
from kafila.search.selection import Registries, resource_of
from kafila.search.versions import Continue
from kafila.store.interface import StoreUnavailable

from .bodies import Receive
from .multicluster import Listing, Reader, asked_of, send_pages
from .proxy import MemberProxy
from .proxying import Proxying
from .request import Request, Target, parse_target
from .responses import Response, Sender, send_response

GROUP, VERSION = "search.karmada.io", "v1alpha1"
REQUESTS: Final = Counter(
    "kafila_search_requests_total",
    "Requests for members' objects, by where they were answered: cache, member, controlplane.",
    ["path", "answered_by"],
)


@final
class Searching:
    """Ends with ``member_proxy``."""

    def __init__(self, registry: Registry, member_proxy: MemberProxy, draining: asyncio.Event) -> None:
        self._registry = registry
        self._registries = Registries(registry.cache, registry.catalog)
        self._rights = MemberRights(registry, member_proxy.transport_for, member_proxy.tunnels)
        self._feed = Feed(registry.store.search)
        self._reader = Reader(registry.store.search, self._rights)
        self._proxying = Proxying(self._registries, self._reader, self._feed, member_proxy, draining)
        member_proxy.before_close.append(self.close)

    async def close(self) -> None:
        self._feed.close()
        await self._rights.close()

    @staticmethod
    def serves(target: Target) -> bool:
        return target.group == GROUP and target.version == VERSION and target.plural in ("search", "proxying")

    async def serve(self, request: Request, receive: Receive, send: Sender) -> None:
        """Raises StatusError as long as nothing was sent."""
        target = request.target
        assert target is not None
        if target.namespace or target.watch or not target.name:
            raise errors.page_not_found()
        if target.plural == "search":
            await self._search(request, send)
            return
        if target.subresource != "proxy":
            raise errors.page_not_found()
        try:
            answered_by = await self._proxying.serve(request, receive, send)
        finally:
            request.target = target
        REQUESTS.labels("proxying", answered_by).inc()

    # -- search/cache --------------------------------------------------------------------------------------------------

    async def _search(self, request: Request, send: Sender) -> None:
        """Always a list, as in Karmada: of all objects that match, in all clusters where the caller may read them."""
        target = request.target
        assert target is not None
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_supported(GROUP, "search", request.method.lower())
        if target.name == "opensearch":
            raise StatusError(
                501,
                "NotImplemented",
                "OpenSearch is not asked by this control plane: ask it yourself, or use search/cache",
            )
        if target.name != "cache":
            raise errors.internal_error(f"connect with unrecognized search category {target.name}")
        asked = native_target(target)
        try:
            labels = request.query.get("labelSelector")
            options = ListOptions(asked.namespace, selectors.parse(labels) if labels else None)
        except selectors.SelectorError as error:
            await send_response(send, request, _refused(400, str(error)))
            return
        kind = self._registry.catalog.get(asked.group, asked.version, asked.plural)
        if kind is None:
            named = f"{asked.group}/{asked.version}, Resource={asked.plural}"
            await send_response(send, request, _refused(500, f"no matches for {named}"))
            return
        request.target = asked
        try:
            states = await self._reader.states(kind, request, asked_of(request))
            head = b'{"kind":"%b","apiVersion":"%b","metadata":{},"items":[' % (
                kind.list_name.encode(),
                kind.api_version.encode(),
            )
            if asked.name:
                place = asked.namespace, asked.name
                found = await self._registry.store.search.find(resource_of(kind), list(states), place) if states else []
                items = b",".join([row.body for _, row in found if row.body])
                await send_response(send, request, Response(200, b"".join((head, items, b"]}\n"))))
            else:
                listing = Listing(self._registry.store.search, kind, options, list(states), {}, Continue())
                await send_pages(listing, head, lambda: b"]}\n", request, send)
        except StoreUnavailable as error:
            raise errors.storage_unreachable(error) from error
        finally:
            request.target = target
        REQUESTS.labels("search", "cache").inc()


def native_target(target: Target) -> Target:
    """What ``search/cache/PATH`` is about. Raises StatusError 500, as Karmada answers what is no path of a resource."""
    path = "/".join(part for part in (target.subresource, *target.rest.split("/")) if part)
    asked = parse_target(f"/{path}")
    if asked is None or not asked.plural.strip("\0") or asked.watch:
        raise errors.internal_error(f"k8s native Request URL({path}) is not a resource request")
    if asked.subresource:
        raise errors.internal_error(f"invalid request parts({path}) for k8s native request URL")
    return asked


def _refused(code: int, why: str) -> Response:
    """Karmada's own form of these errors."""
    return Response(code, orjson.dumps({"error": why}) + b"\n")
