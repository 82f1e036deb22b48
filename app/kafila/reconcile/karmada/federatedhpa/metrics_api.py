"""The control plane's own metrics APIs, asked in this process: whoever serves them (an APIService's server, or kafila itself)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar, final
from urllib.parse import quote, urlencode

import orjson
from prometheus_client import Histogram

from kafila.autoscaling.metrics import (
    DEFAULT_WINDOW,
    NO_USAGE,
    MetricsError,
    ObjectReference,
    PodMetric,
    PodMetrics,
    PodUsage,
    milli,
)
from kafila.catalog.catalog import Catalog
from kafila.core.clock import parse_rfc3339
from kafila.core.errors import StatusError
from kafila.core.resources import split_api_version
from kafila.core.values import Object
from kafila.members.answers import status_error
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.metricsadapter.members import Answer
from kafila.metricsadapter.usages import SHAPE, pod_metrics, usage_of
from kafila.placement.constants import QUERY_FROM_CLUSTER

T = TypeVar("T")
BIG: Final = 32 << 10  # bytes of an answer that is read in a thread
MOST_ITEMS: Final = 250_000  # of one answer
MANY: Final = 1000  # items that are read in a thread
_RESOURCE, _CUSTOM, _EXTERNAL = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"
_NAMES: Final = {_RESOURCE: "resource", _CUSTOM: "custom", _EXTERNAL: "external"}
PULLED: Final = Histogram(
    "federatedhpa_pull_metrics_duration_seconds",
    "How long the control plane's own metrics APIs took to answer.",
    ["result", "metricType"],
    buckets=[0.01 * 2**power for power in range(12)],  # Karmada's
)


class OwnAPI(Protocol):
    """This control plane's API, as its controllers ask it."""

    async def pod_usages(self, namespace: str, labels: str) -> Answer[PodUsage] | None:
        """What members say of a namespace's pods, where this API asks them itself; None: ask for metrics.k8s.io. Raises StatusError."""
        ...

    async def get(self, target: str) -> tuple[int, bytes]:
        """Status and body of a GET of path and query. Raises Unreachable, UnusableAnswer."""
        ...


@final
class APIMetrics:
    """Reads the metrics APIs. What they answer comes from members, and is believed only as far as it has their shape."""

    def __init__(self, api: OwnAPI, catalog: Catalog) -> None:
        self._api = api
        self._catalog = catalog

    async def resource(self, namespace: str, selector: str) -> Sequence[PodUsage]:
        """Of members that this control plane asks itself no document is made, only to be read again."""
        with _measured("ResourceMetric"):
            try:
                answer = await self._api.pod_usages(namespace, selector)
            except StatusError as error:
                raise _unfetched(_RESOURCE, str(error)) from None
            if answer is not None:
                if not answer.found:
                    raise MetricsError(NO_USAGE)
                return answer.found
            path = f"/apis/{_RESOURCE}/v1beta1/namespaces/{_quoted(namespace)}/pods"
            return await self._read(
                _RESOURCE, path, {"labelSelector": selector}, "pods", lambda items: list(map(_usage, items))
            )

    async def of_pods(self, namespace: str, selector: str, metric: str, metric_selector: str) -> PodMetrics:
        path = f"/apis/{_CUSTOM}/v1beta2/namespaces/{_quoted(namespace)}/pods/*/{_quoted(metric)}"
        query = {"labelSelector": selector, "metricLabelSelector": metric_selector}
        with _measured("RawMetric"):
            return await self._read(_CUSTOM, path, query, "pods", lambda items: dict(map(_sample, items)))

    async def of_object(self, namespace: str, about: ObjectReference, metric: str, metric_selector: str) -> int:
        query = {"metricLabelSelector": metric_selector}
        resource = self._resource_of(about)
        root = f"/apis/{_CUSTOM}/v1beta2/namespaces/{_quoted(namespace)}"
        if resource == "namespaces":  # whatever name is given: nobody looks into another namespace
            path = f"{root}/metrics/{_quoted(metric)}"
        else:
            path = f"{root}/{_quoted(resource)}/{_quoted(about.name)}/{_quoted(metric)}"
        with _measured("ObjectMetric"):
            values = await self._read(_CUSTOM, path, query, resource, lambda items: list(map(_value, items)))
        if len(values) != 1:
            count = len(values)
            text = f"the custom metrics API server returned {count} results when we asked for exactly one"
            raise _unfetched(_CUSTOM, text)
        return values[0]

    async def external(self, namespace: str, metric: str, metric_selector: str) -> Sequence[int]:
        path = f"/apis/{_EXTERNAL}/v1beta1/namespaces/{_quoted(namespace)}/{_quoted(metric)}"
        query = {"labelSelector": metric_selector}
        with _measured("ExternalMetric"):
            return await self._read(_EXTERNAL, path, query, metric, lambda items: list(map(_value, items)))

    def _resource_of(self, about: ObjectReference) -> str:
        """``ingresses.networking.k8s.io``. Raises MetricsError for a kind that nobody knows."""
        try:
            group, version = split_api_version(about.api_version)
        except ValueError:
            group, version = "", about.api_version
        kind = self._catalog.by_kind(group, version, about.kind)
        if kind is None:
            text = f'no matches for kind "{about.kind}" in version "{about.api_version}"'
            raise _unfetched(_CUSTOM, f"unable to map kind {about.kind}.{group} to resource: {text}")
        return f"{kind.plural}.{group}" if group else kind.plural

    async def _read(
        self,
        group: str,
        path: str,
        query: Mapping[str, str],
        resource: str,
        read: Callable[[Sequence[Any]], T],
    ) -> T:
        """What ``read`` makes of the items. Raises MetricsError."""
        items = await self._items(group, path, query, resource)
        return await _off_the_loop(len(items) > MANY, lambda: _shaped(group, items, read))

    async def _items(self, group: str, path: str, query: Mapping[str, str], resource: str) -> list[Any]:
        given = urlencode({key: value for key, value in query.items() if value})
        try:
            status, body = await self._api.get(f"{path}?{given}" if given else path)
        except (Unreachable, UnusableAnswer, StatusError) as error:
            raise _unfetched(group, str(error)) from None
        if status != 200:
            raise _unfetched(group, _refusal(status, body, f"{resource}.{group}"))
        items = await _off_the_loop(len(body) > BIG, lambda: _listed(body))
        if items is None:
            raise _unfetched(group, "the answer is no list of metrics")
        if not items and (group != _CUSTOM or resource == "pods"):
            raise MetricsError(f"no metrics returned from {_NAMES[group]} metrics API")
        if len(items) > MOST_ITEMS:
            raise _unfetched(group, f"the answer has more than {MOST_ITEMS} items")
        return items


@contextlib.contextmanager
def _measured(name: str) -> Iterator[None]:
    """``name``: of the kind of metric, as Karmada measures it."""
    began, result = time.perf_counter(), "error"
    try:
        yield
        result = "success"
    finally:
        PULLED.labels(result, name).observe(time.perf_counter() - began)


async def _off_the_loop(big: bool, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if big else work()


def _unfetched(group: str, why: str) -> MetricsError:
    return MetricsError(f"unable to fetch metrics from {_NAMES[group]} metrics API: {why}")


def _refusal(status: int, body: bytes, resource: str) -> str:
    """As client-go words it, which makes a sentence of its own of an answer that is no Status."""
    error = status_error(status, body)
    if b'"Status"' in body[:4096]:
        return error.message
    match status:
        case 404:
            return f"the server could not find the requested resource (get {resource})"
        case 503:
            return f"the server is currently unable to handle the request (get {resource})"
    return error.message


def _listed(body: bytes) -> list[Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    items = document.get("items") if isinstance(document, dict) else None
    return items if isinstance(items, list) else [] if items is None and isinstance(document, dict) else None


def _shaped(group: str, items: Sequence[Any], read: Callable[[Sequence[Any]], T]) -> T:
    try:
        return read(items)
    except SHAPE as error:
        raise _unfetched(group, f"the answer has an item of another shape: {type(error).__name__}") from None


def _usage(item: Object) -> PodUsage:
    found = pod_metrics(item)
    return usage_of(found, (found.metadata.annotations or {}).get(QUERY_FROM_CLUSTER) or "")


def _sample(item: Object) -> tuple[str, PodMetric]:
    window = item.get("windowSeconds")
    seconds = DEFAULT_WINDOW if window is None else float(window)
    at = item.get("timestamp")  # null is the zero time, as in Go
    return item["describedObject"]["name"], PodMetric(
        _value(item), parse_rfc3339(at) if at is not None else 0.0, seconds
    )


def _value(item: Object) -> int:
    return milli(item["value"])


def _quoted(segment: str) -> str:
    return quote(segment, safe="")
