"""metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io: what members say, as one answer (:mod:`kafila.metricsadapter`).

Who may read them here reads them: members are asked with the control plane's own rights, as by Karmada's metrics-adapter. Whom an
answer lacks stands in its warnings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, Protocol, TypeVar, final

import orjson

from kafila.aggregation import Routes
from kafila.autoscaling.metrics import PodUsage
from kafila.catalog.kind import Kind
from kafila.core import errors, selectors
from kafila.core.values import Object
from kafila.members.clients import MemberClients
from kafila.metricsadapter import documents, merging
from kafila.metricsadapter.members import Answer, MemberMetrics
from kafila.metricsadapter.values import ALL_OBJECTS, CUSTOM, EXTERNAL, RESOURCE, VERSIONS, Usage
from kafila.registry import Registry
from kafila.registry.reading import ListOptions
from kafila.registry.threads import in_thread
from kafila.telemetry.tasks import cancelled

from .negotiation import Accepted, accepted, without
from .object_responses import accept_of, check_form
from .objects import list_options
from .proxy import MemberProxy
from .request import Request, Target
from .responses import Response, Sender, encoded, send_response, to_yaml

T = TypeVar("T")
MOST_AT_ONCE: Final = 64  # questions to all members that are under way
MOST_WAITING: Final = 4096  # with those that wait for a turn
DISCOVERED_FOR: Final = 30.0  # seconds that it is believed which metrics there are
_KINDS: Final = {CUSTOM: "MetricValueList", EXTERNAL: "ExternalMetricValueList"}


class ServesMetrics(Protocol):
    """What answers for these groups: this control plane's members, or a simulated member's own pods."""

    def serves(self, target: Target) -> bool: ...

    def groups(self) -> list[str]:
        """Those that are served here and have no kinds."""
        ...

    async def serve(self, request: Request, send: Sender) -> None: ...


@final
class MemberMetricsAPI:
    """``routes``: the groups that other servers answer for; None: there are none."""

    def __init__(self, registry: Registry, members: MemberMetrics, routes: Routes | None) -> None:
        self._catalog = registry.catalog
        self._members = members
        self._routes = routes
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}
        self._discovered: dict[str, tuple[float, list[tuple[str, bool]]]] = {}

    async def close(self) -> None:
        await cancelled(*self._under_way.values())
        await self._members.close()

    def serves(self, target: Target) -> bool:
        if target.version not in VERSIONS.get(target.group, ()) or self._elsewhere(target.group):
            return False
        return bool(target.plural) or target.group != RESOURCE

    def groups(self) -> list[str]:
        return [group for group in (CUSTOM, EXTERNAL) if not self._elsewhere(group)]

    async def pod_usages(self, namespace: str, labels: str) -> Answer[PodUsage] | None:
        """What members say of a namespace's pods, for the controllers of this process. None: another server answers for
        metrics.k8s.io. Raises StatusError 429."""
        if self._elsewhere(RESOURCE):
            return None
        return await self._shared(("usages", namespace, labels), lambda: self._members.pod_usages(namespace, labels))

    def _elsewhere(self, group: str) -> bool:
        return self._routes is not None and self._routes.gives_away(group)

    async def serve(self, request: Request, send: Sender) -> None:
        """Raises StatusError as long as nothing was sent."""
        target = request.target
        assert target is not None
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed()
        if target.watch or (request.flag("watch") and not target.name):
            raise errors.method_not_supported(target.group, target.plural, "watch")
        answer = {RESOURCE: self._usage, CUSTOM: self._custom, EXTERNAL: self._external}[target.group]
        response = await (answer(request, target) if target.plural else self._discovery(request, target))
        await send_response(send, request, response)

    # -- metrics.k8s.io --------------------------------------------------------------------------------------------------

    async def _usage(self, request: Request, target: Target) -> Response:
        kind = self._catalog.get(target.group, target.version, target.plural)
        if kind is None or target.subresource or bool(target.namespace) > kind.namespaced:
            raise errors.page_not_found()
        if target.name and bool(target.namespace) != kind.namespaced:
            raise errors.page_not_found()
        accept = accept_of(request, kind)
        check_form(accept, kind, request, not target.name)
        if target.name:
            return await self._object(kind, request, target, accept)
        return await self._list(kind, request, target, accept)

    async def _object(self, kind: Kind, request: Request, target: Target, accept: Accepted) -> Response:
        members = self._members
        if kind.namespaced:
            found = await self._asked(request, lambda: members.pod(target.namespace, target.name))
        else:
            found = await self._asked(request, lambda: members.node(target.name))
        usage = merging.only_one(found, target.plural, target.name)
        if accept.form == "Table":
            return encoded(_table(kind, [usage], accept, request), accept)
        obj: Object = orjson.loads(usage.body)
        if accept.form:
            return encoded(documents.partial(obj, accept.version), accept)
        return encoded({"kind": kind.kind, "apiVersion": kind.api_version, **obj}, accept)

    async def _list(self, kind: Kind, request: Request, target: Target, accept: Accepted) -> Response:
        options, members = list_options(request), self._members
        wanted = _wanted(options)
        labels = str(options.labels) if options.labels is not None else ""
        if kind.namespaced:
            found = await self._asked(request, lambda: members.pods(target.namespace, labels))
        else:
            found = await self._asked(request, lambda: members.nodes(labels))
        found = [usage for usage in found if wanted(usage)]
        size = sum(len(usage.body) for usage in found)
        await request.hold(size)
        return await in_thread(size, lambda: _listed(kind, found, accept, request))

    # -- custom.metrics.k8s.io -------------------------------------------------------------------------------------------

    async def _custom(self, request: Request, target: Target) -> Response:
        resource, namespace, name, metric = target.plural, target.namespace, target.name, target.subresource
        if resource == "metrics" and namespace and name and not metric:  # of the namespace itself
            resource, namespace, name, metric = "namespaces", "", namespace, name
        if not name or not metric or target.rest:
            raise errors.bad_request("invalid request path")
        accept = _plain(request)
        labels, of_metric = _selector(request, "labelSelector"), _selector(request, "metricLabelSelector")
        members = self._members
        if name == ALL_OBJECTS:
            found = await self._asked(
                request, lambda: members.custom_by_selector(namespace, resource, labels, metric, of_metric)
            )
        else:
            found = await self._asked(
                request, lambda: members.custom_by_name(namespace, resource, name, metric, of_metric)
            )
        return await in_thread(len(found) << 8, lambda: encoded(documents.custom_list(found, target.version), accept))

    # -- external.metrics.k8s.io -----------------------------------------------------------------------------------------

    async def _external(self, request: Request, target: Target) -> Response:
        if not target.namespace or target.name:
            raise errors.page_not_found()
        accept, labels, members = _plain(request), _selector(request, "labelSelector"), self._members
        found = await self._asked(request, lambda: members.external(target.namespace, target.plural, labels))
        return await in_thread(len(found) << 8, lambda: encoded(documents.external_list(found, target.version), accept))

    # -- what there is ---------------------------------------------------------------------------------------------------

    async def _discovery(self, request: Request, target: Target) -> Response:
        """Everybody may ask: members are asked now and then."""
        accept = _plain(request)
        loop, known = asyncio.get_running_loop(), self._discovered.get(target.group)
        if known is None or loop.time() - known[0] > DISCOVERED_FOR:
            answer = await self._shared(("", target.group), lambda: self._members.resources(target.group))
            known = self._discovered[target.group] = loop.time(), answer.found
        rows = [
            {"name": name, "singularName": "", "namespaced": namespaced, "kind": _KINDS[target.group], "verbs": ["get"]}
            for name, namespaced in known[1]
        ]
        version = f"{target.group}/{target.version}"
        document = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": rows}
        return encoded(document, accept)

    # -- asking ----------------------------------------------------------------------------------------------------------

    async def _asked(self, request: Request, ask: Callable[[], Awaitable[Answer[T]]]) -> list[T]:
        """Who asks the same at the same time gets the same answer. Raises StatusError."""
        query = tuple(request.query.get(name, "") for name in ("labelSelector", "metricLabelSelector"))
        answer = await self._shared((request.path, query), ask)
        request.warnings += answer.warnings
        return answer.found

    async def _shared(self, key: Hashable, ask: Callable[[], Awaitable[Answer[T]]]) -> Answer[T]:
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= MOST_WAITING:
                raise errors.too_many_requests("too many questions about metrics, please try again later", 1)
            task = self._under_way[key] = asyncio.ensure_future(self._in_turn(ask))
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    async def _in_turn(self, ask: Callable[[], Awaitable[Answer[T]]]) -> Answer[T]:
        async with self._turns:
            return await ask()

    def _done(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever asked may have left


def metrics_of_members(registry: Registry, member_proxy: MemberProxy, routes: Routes | None) -> MemberMetricsAPI:
    """Reached as ``member_proxy`` reaches members, and ends with it."""
    clients = MemberClients(registry.cache, member_proxy.transport_for, member_proxy.limits, member_proxy.tunnels)
    made = MemberMetricsAPI(registry, MemberMetrics(clients), routes)
    member_proxy.before_close.append(made.close)
    return made


def _wanted(options: ListOptions) -> Callable[[Usage], bool]:
    """By field selector. Raises StatusError 400."""
    for field in options.fields:
        if field.field not in ("metadata.name", "metadata.namespace"):
            known = '"metadata.name", "metadata.namespace"'
            raise errors.bad_request(f'"{field.field}" is not a known field selector: only {known}')

    def matches(usage: Usage) -> bool:
        for field in options.fields:
            value = usage.name if field.field == "metadata.name" else usage.namespace
            if (value == field.value) == (field.operator == "!="):
                return False
        return True

    return matches


def _listed(kind: Kind, found: list[Usage], accept: Accepted, request: Request) -> Response:
    if accept.form == "Table":
        return encoded(_table(kind, found, accept, request), accept)
    if accept.form:
        items = [documents.partial(orjson.loads(usage.body), accept.version) for usage in found]
        api_version = f"meta.k8s.io/{accept.version}"
        return encoded({"kind": accept.form, "apiVersion": api_version, "metadata": {}, "items": items}, accept)
    head = b'{"kind":"%b","apiVersion":"%b","metadata":{},"items":[' % (
        kind.list_name.encode(),
        kind.api_version.encode(),
    )
    body = b"".join((head, b",".join([usage.body for usage in found]), b"]}\n"))
    return Response(200, to_yaml(body), accept.content_type) if accept.encoding == "yaml" else Response(200, body)


def _table(kind: Kind, found: list[Usage], accept: Accepted, request: Request) -> Object:
    include = request.query.get("includeObject", "")
    return documents.table(found, kind.kind, kind.api_version, include, accept.version)


def _plain(request: Request) -> Accepted:
    """These have no Tables. Raises StatusError 406."""
    return accepted(
        without(request.header(b"accept"), "Table", "PartialObjectMetadata", "PartialObjectMetadataList"), False
    )


def _selector(request: Request, name: str) -> str:
    """In its canonical form. Raises StatusError 400."""
    given = request.query.get(name, "")
    try:
        return str(selectors.parse(given)) if given else ""
    except selectors.SelectorError as error:
        raise errors.bad_request(str(error)) from error
